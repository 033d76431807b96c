"""The ASGI middleware around all routes."""
