"""The content of a request: body, multipart parts, photos and shared parameters."""
