"""multipart/form-data -> the files in it, and the fields that are none.

The body is already in memory and within its limit; python-multipart finds the parts. It is run on
a thread, since a body of many images takes milliseconds.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadParameter, TooManyFiles

_MAX_FIELDS = 32
"""Parts beside the files."""
_MAX_FIELD_BYTES = 65536


def is_multipart(content_type: str) -> bool:
    """Whether a body of this content type is multipart; anything else is a raw image."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Where its bytes lie in the body."""

    @property
    def _options(self) -> dict[bytes, bytes]:
        return parse_options_header(self.headers.get(b"content-disposition"))[1]

    @property
    def name(self) -> str:
        return self._options.get(b"name", b"").decode("utf-8", "replace")

    @property
    def is_file(self) -> bool:
        options = self._options
        kind = self.headers.get(b"content-type", b"")
        return b"filename" in options or kind.startswith(b"image/")


@dataclass(frozen=True)
class Form:
    """What a multipart body holds."""

    files: list[bytes]
    """Contents, in order."""
    fields: dict[str, str]
    """What is no file, by name; of two with one name the last."""


def split_files(body: bytes, content_type: str, max_files: int) -> list[bytes]:
    """The contents of the files in `body`, in order; fields that are no files are passed over.

    Raises:
        BadParameter: the body isn't what its content type says, or holds no file.
        TooManyFiles: it holds more than `max_files`.
    """
    return split_form(body, content_type, max_files).files


def split_form(body: bytes, content_type: str, max_files: int) -> Form:
    """The files and fields in `body`.

    Raises:
        BadParameter: the body isn't what its content type says, or holds no file.
        TooManyFiles: it holds more than `max_files`.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadParameter(
            "The multipart body's content type names no boundary. Let your HTTP "
            "client set Content-Type itself."
        )
    parts = _parse(body, boundary, max_files)
    files = [part for part in parts if part.is_file]
    if len(files) > max_files:
        raise TooManyFiles(f"The body has more than {max_files} files. Send fewer at once.")
    if not files:
        raise BadParameter(
            "The multipart body holds no file. Send each image as a file, as in "
            "curl -F file=@photo.jpg."
        )
    contents = [_content(body, part.spans) for part in files]
    return Form(contents, {p.name: _text(body, p) for p in parts if not p.is_file})


def _parse(body: bytes, boundary: bytes, max_files: int) -> list[_Part]:
    parts: list[_Part] = []
    name = bytearray()
    value = bytearray()

    def begin() -> None:
        if len(parts) == max_files + _MAX_FIELDS:
            raise TooManyFiles(f"The body has more than {len(parts)} parts. Send fewer at once.")
        parts.append(_Part())

    def end_header() -> None:
        parts[-1].headers[bytes(name).lower()] = bytes(value)
        name.clear()
        value.clear()

    finished = False

    def end() -> None:
        nonlocal finished
        finished = True

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_header_field": lambda data, start, stop: name.extend(data[start:stop]),
                "on_header_value": lambda data, start, stop: value.extend(data[start:stop]),
                "on_header_end": end_header,
                "on_part_data": lambda data, start, stop: parts[-1].spans.append((start, stop)),
                "on_end": end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as err:
        raise BadParameter(f"The multipart body can't be read: {err}. Send it again.") from err
    if not finished:
        raise BadParameter("The multipart body ends before its last boundary. Send it again.")
    return parts


def _content(body: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The bytes of a part; spans that touch are one copy."""
    if not spans:
        return b""
    if all(stop == start for (_, stop), (start, _) in pairwise(spans)):
        return body[spans[0][0] : spans[-1][1]]
    return b"".join(body[start:stop] for start, stop in spans)


def _text(body: bytes, part: _Part) -> str:
    """The text of a field; none is so long that a photo would fit."""
    content = _content(body, part.spans)
    return content[:_MAX_FIELD_BYTES].decode("utf-8", "replace")
