"""One reader per image format: bytes -> checked header -> decoded pixels.

CONTRIBUTING.md, "An image format", lists what a new format needs here and elsewhere.
"""
