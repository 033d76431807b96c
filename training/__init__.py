"""Training: a folder of labelled photos becomes a model bundle. Never imported by the service."""

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, which modules here import
