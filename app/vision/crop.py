"""A part of a photo, as a request states it: `10,20,300,200` in pixels, `0%,0%,50%,100%` in shares.

text -> `Crop.parse` -> Crop -> `Crop.pixels`, once the photo's size is known -> whole pixels
"""

import re
from dataclasses import dataclass

from app.errors import BadParameter

Pixels = tuple[int, int, int, int]
"""Left, top, right and bottom edge, in whole pixels of the upright photo."""

_NUMBER = re.compile(r"([0-9]{1,6})|([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_NUMBERS = 4
_MAX_SHARE = 100
_EXAMPLES = "10,20,300,200 in pixels, or 0%,0%,50%,100% in shares of the photo"


@dataclass(frozen=True, slots=True)
class Length:
    """A distance along one side of a photo."""

    value: float
    is_share: bool
    """True for hundredths of the side, False for pixels."""

    def pixels(self, side: int) -> float:
        """Return the distance in pixels along a side of `side` pixels."""
        return self.value * side / _MAX_SHARE if self.is_share else self.value


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in an upright photo whose size isn't known yet."""

    x: Length
    y: Length
    width: Length
    height: Length
    text: str
    """The rectangle as the request states it."""

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """Return the rectangle that `text` states: x, y, width, height.

        Raises:
            BadParameter: it isn't four numbers, a share is over 100 %, or the rectangle is empty.
        """
        parts = [part.strip() for part in text.split(",")]
        found = [_NUMBER.fullmatch(part) for part in parts]
        if len(found) != _NUMBERS or not all(found):
            raise BadParameter(
                f"The crop {text!r:.60} is not x,y,width,height. Send four numbers: {_EXAMPLES}."
            )
        lengths = [Length(float(m[1] or m[2]), m[1] is None) for m in found if m]
        if any(each.is_share and each.value > _MAX_SHARE for each in lengths):
            raise BadParameter(f"The crop {text} has a share over 100 %. Send 0% to 100%.")
        if not all(each.value for each in lengths[2:]):
            raise BadParameter(
                f"The crop {text} is empty. Send a width and a height that are over 0."
            )
        x, y, width, height = lengths
        return cls(x, y, width, height, text)

    def pixels(self, width: int, height: int) -> Pixels:
        """Return the edges in a photo of `width` x `height`; shares are rounded to whole pixels.

        A width in pixels is exact. A share has one pixel at least: in a small photo it may be less.

        Raises:
            BadParameter: the rectangle reaches beyond the photo.
        """
        left, right = _edges(self.x, self.width, width)
        top, bottom = _edges(self.y, self.height, height)
        if right > width or bottom > height:
            raise BadParameter(
                f"The crop {self.text} ends at {right},{bottom}, beyond the photo's {width} x "
                f"{height} pixels. Send a smaller one; it is measured in the upright photo."
            )
        return left, top, right, bottom


def _edges(start: Length, length: Length, side: int) -> tuple[int, int]:
    low = start.pixels(side)
    first = round(low)
    if start.is_share and first == side:
        first -= 1  # the last pixel, of which the share is a part
    if not length.is_share:
        return first, first + round(length.value)
    return first, max(round(low + length.pixels(side)), first + 1)
