"""Read what a decoder of HEVC will allocate: the picture of each sequence parameter set.

hvcC (of the container) and item's bytes -> NAL units -> sequence parameter sets: size, chroma, bits
                                                      -> number of pictures

The container announces a size of its own, which the decoder does not trust (ITU-T H.265, 7.3.2.2).
"""

from app.errors import BrokenImage
from app.vision.formats.heif.bits import Reader
from app.vision.formats.heif.coded_picture import MAX_FRAMES, CodedPicture, largest_picture

_PARAMETER_SET = 33
_LAST_SLICE = 31
_ARRAYS_AT = 22
"""Where the parameter sets begin in hvcC."""
_MAX_UNITS = 2000
_MAX_SUB_LAYERS = 8
_GREY, _HALF_BOTH, _HALF_WIDTH, _FULL = 0, 1, 2, 3
"""chroma_format_idc."""
_CHROMA_SAMPLES = {_GREY: 0.0, _HALF_BOTH: 0.5, _HALF_WIDTH: 1.0, _FULL: 2.0}


def read_hevc(config: bytes, item: bytes) -> CodedPicture:
    """Read the sequence parameter sets of an item.

    Args:
        config: the item's property hvcC.
        item: its bytes.

    Raises:
        BrokenImage: there is none, or the units are broken.
    """
    pictures, frames = [], 0
    try:
        length_bytes = (config[_ARRAYS_AT - 1] & 3) + 1
        for unit in [*_configured(config), *_units(item, length_bytes)]:
            kind = unit[0] >> 1 & 63
            layer = (unit[0] & 1) << 5 | unit[1] >> 3
            if kind == _PARAMETER_SET and not layer:
                pictures.append(_read_parameter_set(Reader(_unescaped(bytes(unit[2:])))))
            frames += kind <= _LAST_SLICE and unit[2] >> 7
    except (EOFError, IndexError, KeyError) as err:
        raise _broken() from err
    if not pictures or frames > MAX_FRAMES:
        raise _broken()
    return largest_picture(pictures, frames)


def _broken() -> BrokenImage:
    return BrokenImage("The HEIC is broken or cut short. Send it again, or save it anew.")


def _configured(config: bytes) -> list[memoryview]:
    """Return the units in hvcC."""
    reader = Reader(config[_ARRAYS_AT:])
    units: list[memoryview] = []
    for _ in range(reader.number(1)):
        reader.number(1)
        for _ in range(reader.number(2)):
            if len(units) == _MAX_UNITS:
                raise _broken()
            units.append(reader.part(reader.number(2)))
    return units


def _units(item: bytes, length_bytes: int) -> list[memoryview]:
    reader = Reader(item)
    units: list[memoryview] = []
    while len(reader.rest()):
        if len(units) == _MAX_UNITS:
            raise _broken()
        units.append(reader.part(reader.number(length_bytes)))
    return units


def _unescaped(unit: bytes) -> bytes:
    """Return a unit without its emulation prevention: bytes of 3 after two zeros."""
    return unit[:1024].replace(b"\0\0\3", b"\0\0")


def _read_parameter_set(reader: Reader) -> tuple[tuple[int, int], float]:
    """Return the size, and the bytes of a pixel in all planes."""
    reader.bits(4)
    sub_layers = reader.bits(3)
    reader.flag()
    _skip_profile(reader, sub_layers)
    reader.exp_golomb()
    chroma = reader.exp_golomb()
    if chroma == _FULL:
        reader.flag()
    size = reader.exp_golomb(), reader.exp_golomb()
    if not all(size):
        raise _broken()
    if reader.flag():
        for _ in range(4):
            reader.exp_golomb()
    bits = 8 + max(reader.exp_golomb(), reader.exp_golomb())
    sample_bytes = 1 if bits == 8 else 2  # noqa: PLR2004
    return size, sample_bytes * (1 + _CHROMA_SAMPLES[chroma])


def _skip_profile(reader: Reader, sub_layers: int) -> None:
    reader.bits(96)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.bits(2 * (_MAX_SUB_LAYERS - sub_layers))
    for has_profile, has_level in present:
        reader.bits(88 * has_profile + 8 * has_level)
