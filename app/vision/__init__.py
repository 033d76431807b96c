"""Bytes -> picture -> canvas -> what a model reads; the only copy of the preprocessing.

file -> `decode` -> `Picture` -> its canvas (480, 480, 3) -> `resize` -> (S, S, 3); uint8 sRGB.
`resize` goes over the canvas by arithmetic alone; who wants to see it asks for `Picture.canvas`.
Serving and training both come through here.
"""

from app.vision.decode import decode
from app.vision.picture import CANVAS, Format, Limits, Picture
from app.vision.resize import ResizeSpec, resize

__all__ = ["CANVAS", "Format", "Limits", "Picture", "ResizeSpec", "decode", "resize"]
