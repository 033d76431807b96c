"""Hubel's service.

request path: api -> runtime.classifier -> vision -> runtime.session, on runtime.engine's threads
"""

__version__ = "0.1.0"
