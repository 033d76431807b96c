"""Bring an image of any colour mode to sRGB.

grey, RGB or CMYK, with or without alpha -> colour profile -> RGB -> alpha flattened onto white

It runs after a resize, when there are fewer pixels: to the model's input for RGB, to the canvas for
other modes.
"""

from PIL import Image

from app.vision.icc_profile import srgb_transform

_WHITE = (255, 255, 255)


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Bring `image` to RGB, sRGB.

    Without a usable profile, RGB and grey are taken for sRGB, and CMYK for ideal inks:
    R = (1 - C) (1 - K), and so on.

    Args:
        image: of mode L, LA, RGB, RGBA or CMYK.
        icc: the colour profile that the file embeds.

    Returns:
        An image of mode RGB; `image` itself if there is nothing to do.
    """
    if image.mode in ("LA", "RGBA"):
        colours = _to_rgb(image.convert(image.mode.removesuffix("A")), icc)
        white = Image.new("RGB", image.size, _WHITE)
        return Image.composite(colours, white, image.getchannel("A"))
    return _to_rgb(image, icc)


def _to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    transform = srgb_transform(icc, image.mode)
    if transform is not None:
        return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")
