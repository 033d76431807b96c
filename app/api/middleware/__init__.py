"""ASGI middleware around all routes."""
