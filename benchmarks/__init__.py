"""Benchmarks: of the service beside other servers, and of its parts."""

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, which modules here import
