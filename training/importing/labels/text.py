"""Decode the bytes of a text file: UTF-8, or UTF-16 and UTF-32 with a byte order mark or zeros.

Any other encoding is an error. Latin-1 can't be told from a dozen other encodings, and a wrong
guess would become a label.
"""

import codecs
from collections.abc import Mapping

from training.importing.labels.entry import UnclearLabels

_MARKS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and the name of its encoding.

    Raises:
        UnclearLabels: it is no text, or in another encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        encoding = _without_mark(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as err:
        raise UnclearLabels(_reason(data, encoding, err)) from err
    if "\0" in text:
        raise UnclearLabels("it is no text: it holds zero bytes. Name a file of labels.")
    return text, "UTF-8" if encoding.startswith("utf-8") else encoding.upper()


def _without_mark(data: bytes) -> str:
    """Return UTF-16's byte order if every other byte is zero, as for Latin letters."""
    pairs = len(data) // 2
    if len(data) % 2 == 0 and pairs:
        if data[1::2].count(0) > pairs // 2 and 0 not in data[::2]:
            return "utf-16-le"
        if data[::2].count(0) > pairs // 2 and 0 not in data[1::2]:
            return "utf-16-be"
    return "utf-8"


def _reason(data: bytes, encoding: str, err: UnicodeDecodeError) -> str:
    if encoding != "utf-8":
        return f"it begins as {encoding.upper()} and is broken ({err.reason}). Save it as UTF-8."
    if b"\0" in data:
        return "it is no text: it holds zero bytes. Name a file of labels."
    number = data.count(b"\n", 0, err.start)
    line = data.split(b"\n")[number].decode("cp1252", "replace").strip()
    return (
        f"it is no UTF-8 text: line {number + 1} has the byte "
        f"0x{data[err.start]:02x}. Save it as UTF-8; if this line should read {line!r}, then with "
        f"`iconv -f cp1252 -t utf-8`."
    )
