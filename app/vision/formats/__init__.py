"""One reader per image format: bytes -> checked header -> decoded pixels.

A new format needs a module with a `read` function here, a line in `decode._READERS`, a name in
`picture.Format` and `base.FORMAT_NAMES`, and its first bytes in `sniff`.
"""
