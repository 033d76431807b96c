"""Hubel's service: one photo's way is api -> classifier -> vision -> engine -> session."""

__version__ = "0.1.0"
