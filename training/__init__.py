"""Training: turn a folder of labelled photos into a model bundle.

The service never imports this package.
"""

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, which modules here import
