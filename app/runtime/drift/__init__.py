"""Drift: how far the predictions in use are from those on the photos of training.

predictions -> window.py, their counts       -> stability.py, the population stability index
embeddings  -> mean_embedding.py, their mean -> its distance
bundle.json's baseline                       -> monitor.py: a value, a limit and a status each
"""

from app.runtime.drift.mean_embedding import Distance
from app.runtime.drift.monitor import Drift, DriftMonitor, Statistic

__all__ = ["Distance", "Drift", "DriftMonitor", "Statistic"]
