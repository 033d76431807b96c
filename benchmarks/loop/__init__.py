"""The loop of teaching, end to end: `python -m benchmarks.loop`."""
