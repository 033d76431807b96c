"""Drift: how far the predictions in use are from those on the photos of training.

predictions -> window.py, their counts -> stability.py, the population stability index
bundle.json's baseline                 -> monitor.py: an index, a limit and a status each
"""

from app.runtime.drift.monitor import Drift, DriftMonitor, Statistic

__all__ = ["Drift", "DriftMonitor", "Statistic"]
