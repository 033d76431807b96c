"""Trials of a version beside the one that serves: shadow and canary.

canary   request -> a hash of its id -> the tried version gives the response, or the serving one
shadow   response -> sent -> backlog -> the tried version runs on a thread of its own -> comparison
"""

from app.runtime.trials.comparison import Comparison, Disagreement, Report
from app.runtime.trials.trials import Shadow, Trials, TrialStatus

__all__ = ["Comparison", "Disagreement", "Report", "Shadow", "TrialStatus", "Trials"]
