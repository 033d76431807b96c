"""Photos that the service keeps for labelling, and what it said about them.

    a classified photo -> rule: is it one to keep? -> recorder: a bounded queue, and a thread
                       -> store: a file named by its SHA-256, and a row in SQLite
    feedback           -> recorder: a ring of the last photos, in memory -> store

Nothing is kept unless HUBEL_DATA_DIR is set. One service writes to a folder at a time; the command
line may read, label and delete beside it.
"""

from app.captures.capture import Capture, Filter, NewCapture, Prediction, StoreLimits
from app.captures.recorder import Recorder
from app.captures.rule import CaptureRule
from app.captures.store import Store

__all__ = [
    "Capture",
    "CaptureRule",
    "Filter",
    "NewCapture",
    "Prediction",
    "Recorder",
    "Store",
    "StoreLimits",
]
