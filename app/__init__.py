"""Hubel's service.

request path: api -> runtime.classifier -> vision -> runtime.session, on runtime.engine's threads
"""

import os

__version__ = "0.1.0"

# The only side effect of an import (CONTRIBUTING.md, "Habits"). ONNX Runtime reads this variable
# when it is loaded, and then opens a database in the home directory and a connection to a
# collector; its `disable_telemetry_events()` can only be called afterwards. Every entry point
# imports this package before onnxruntime: tests/test_telemetry.py. A value set by the user is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
