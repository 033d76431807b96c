"""Read what a decoder of AV1 will allocate: the largest frame of each sequence header.

item's bytes -> OBUs (open bitstream units) -> sequence headers: size, bits, chroma, film grain
                                            -> number of frames

The container announces a size of its own, which the decoder does not trust: it allocates what the
sequence header says (AV1 Bitstream & Decoding Process Specification, 5.5).
"""

from app.errors import BrokenImage
from app.vision.formats.heif.bits import Reader
from app.vision.formats.heif.coded_picture import MAX_FRAMES, CodedPicture, largest_picture

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_MAX_UNITS = 2000
"""A picture has up to 4096 tiles in up to as many units; encoders write one or few."""
_PROFILE_444, _PROFILE_PROFESSIONAL = 1, 2
_BT709, _SRGB, _IDENTITY = 1, 13, 0
_SELECT = 2
"""`seq_force_screen_content_tools`, where each frame has its own value."""


def read_av1(item: bytes) -> CodedPicture:
    """Read the sequence headers of an item.

    Raises:
        BrokenImage: there is none, or the units are broken.
    """
    pictures, frames = [], 0
    try:
        for kind, content in _units(memoryview(item)):
            frames += kind in (_FRAME_HEADER, _FRAME)
            if kind == _SEQUENCE_HEADER:
                pictures.append(_read_sequence_header(Reader(content)))
    except (EOFError, IndexError) as err:
        raise _broken() from err
    if not pictures or frames > MAX_FRAMES:
        raise _broken()
    return largest_picture(pictures, frames)


def _broken() -> BrokenImage:
    return BrokenImage("The AVIF is broken or cut short. Send it again, or save it anew.")


def _units(data: memoryview) -> list[tuple[int, memoryview]]:
    units: list[tuple[int, memoryview]] = []
    offset = 0
    while offset < len(data):
        if len(units) == _MAX_UNITS:
            raise _broken()
        header = data[offset]
        offset += 1 + bool(header & 4)
        length = len(data) - offset
        if header & 2:
            length = 0
            for shift in range(0, 56, 7):
                byte = data[offset]
                offset += 1
                length |= (byte & 127) << shift
                if byte < 128:  # noqa: PLR2004
                    break
        units.append((header >> 3 & 15, data[offset : offset + length]))
        offset += length
    return units


def _read_sequence_header(reader: Reader) -> tuple[tuple[int, int], float]:
    profile = reader.bits(3)
    reader.flag()
    is_reduced = reader.flag()
    if is_reduced:
        reader.bits(5)
    else:
        _skip_timing_and_operating_points(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    size = reader.bits(width_bits) + 1, reader.bits(height_bits) + 1
    _skip_tools(reader, is_reduced=is_reduced)
    sample_bytes, samples = _read_colours(reader, profile)
    has_film_grain = reader.flag()
    return size, sample_bytes * samples * (1 + has_film_grain)


def _skip_timing_and_operating_points(reader: Reader) -> None:
    delay_bits = 0
    if reader.flag():
        reader.bits(64)
        if reader.flag():
            reader.exp_golomb()
        if reader.flag():
            delay_bits = reader.bits(5) + 1
            reader.bits(42)
    has_display_delay = reader.flag()
    for _ in range(reader.bits(5) + 1):
        reader.bits(12)
        if reader.bits(5) > 7:  # noqa: PLR2004
            reader.flag()
        if delay_bits and reader.flag():
            reader.bits(2 * delay_bits + 1)
        if has_display_delay and reader.flag():
            reader.bits(4)


def _skip_tools(reader: Reader, *, is_reduced: bool) -> None:
    if not is_reduced and reader.flag():
        reader.bits(7)
    reader.bits(3)
    if not is_reduced:
        reader.bits(4)
        has_order_hint = reader.flag()
        if has_order_hint:
            reader.bits(2)
        force_screen_tools = _SELECT if reader.flag() else reader.bits(1)
        if force_screen_tools and not reader.flag():
            reader.flag()
        if has_order_hint:
            reader.bits(3)
    reader.bits(3)


def _read_colours(reader: Reader, profile: int) -> tuple[int, float]:
    """Return the bytes of a sample, and the samples of a pixel."""
    is_deep = reader.flag()
    is_12_bit = profile == _PROFILE_PROFESSIONAL and is_deep and reader.flag()
    is_grey = profile != _PROFILE_444 and reader.flag()
    description = (reader.bits(8), reader.bits(8), reader.bits(8)) if reader.flag() else None
    sample_bytes = 1 + is_deep
    if is_grey:
        reader.flag()
        return sample_bytes, 1
    if description == (_BT709, _SRGB, _IDENTITY):
        reader.flag()
        return sample_bytes, 3
    reader.flag()
    halved_columns, halved_rows = profile == 0, profile == 0
    if profile == _PROFILE_PROFESSIONAL:
        halved_columns = reader.flag() if is_12_bit else True
        halved_rows = is_12_bit and halved_columns and reader.flag()
    if halved_columns and halved_rows:
        reader.bits(2)
    reader.flag()
    return sample_bytes, 1 + 2 / ((1 + halved_columns) * (1 + halved_rows))
