"""One reader per image format: bytes -> checked header -> decoded pixels."""
