"""The benchmarks of the service, compared with other servers, and of its parts."""

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, which modules here import
