"""Decode a photo and resize it to a model's input; the only copy of the preprocessing.

Serving and training both use it, so a model reads the same pixels in both. The data flow:

    bytes
      |  decode.read_header
      |    sniff.sniff                 which of the five formats, by the first bytes
      |    formats/                    header -> limits -> an estimate of memory and time
    OpenedImage
      |  OpenedImage.decode
      |    formats/                    pixels, as the file stores them
      |    orientation.turn_upright    EXIF orientation, before any resize
      |    crop                        the part that the request selects
      |    view                        the part that the model reads, by its bundle's `fit`
      |    canvas.to_canvas            at once where the image is large or not RGB
      |    colour.to_srgb              colour profile and alpha, where the image is not RGB
    Picture
      |  resize.resize                 to the canvas and on to the input, in one step
      |    colour.to_srgb              colour profile, where the image is RGB
    (H, W, 3) uint8 sRGB

`Picture.canvas` is the canvas itself; it is made on first access.
"""

from app.vision.canvas import CANVAS, CANVAS_SHAPE, Box
from app.vision.crop import Crop
from app.vision.decode import OpenedImage, decode, read_header
from app.vision.picture import Format, Limits, Picture
from app.vision.resize import ResizeSpec, resize
from app.vision.view import CENTRE_SQUARE, Fit, View, view_of
from app.vision.work import Work

__all__ = [
    "CANVAS",
    "CANVAS_SHAPE",
    "CENTRE_SQUARE",
    "Box",
    "Crop",
    "Fit",
    "Format",
    "Limits",
    "OpenedImage",
    "Picture",
    "ResizeSpec",
    "View",
    "Work",
    "decode",
    "read_header",
    "resize",
    "view_of",
]
