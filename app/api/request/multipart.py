"""The parser of multipart/form-data: a body -> its files and its other fields.

The body is already in memory and within its limit. python-multipart finds the parts. Callers run
this on a thread, because a body of many images takes milliseconds.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadParameter, TooManyFiles

_MAX_FIELDS = 32
"""The maximum number of parts that are not files."""
_MAX_FIELD_BYTES = 65536


def is_multipart(content_type: str) -> bool:
    """Return whether a body of this content type is multipart; any other is a raw image."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    """The start and end of the part's bytes within the body."""

    @property
    def _options(self) -> dict[bytes, bytes]:
        return parse_options_header(self.headers.get(b"content-disposition"))[1]

    @property
    def name(self) -> str:
        return self._options.get(b"name", b"").decode("utf-8", "replace")

    @property
    def is_file(self) -> bool:
        options = self._options
        content_type = self.headers.get(b"content-type", b"")
        return b"filename" in options or content_type.startswith(b"image/")


@dataclass(frozen=True)
class Form:
    """The files and fields of a multipart body."""

    files: list[bytes]
    """The contents of the files, in order."""
    fields: dict[str, str]
    """The values of the other fields by name; the last of several with the same name."""


def split_files(body: bytes, content_type: str, max_files: int) -> list[bytes]:
    """Return the contents of the files in `body`, in order; other fields are skipped.

    Raises:
        BadParameter: the body is not valid multipart, or has no file.
        TooManyFiles: the body has more than `max_files` files.
    """
    return split_form(body, content_type, max_files).files


def split_form(body: bytes, content_type: str, max_files: int) -> Form:
    """Return the files and fields of `body`.

    Raises:
        BadParameter: the body is not valid multipart, or has no file.
        TooManyFiles: the body has more than `max_files` files.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadParameter(
            "The multipart body's Content-Type has no boundary. Let your HTTP client set the "
            "header."
        )
    parts = _parse(body, boundary, max_files)
    files = [part for part in parts if part.is_file]
    if len(files) > max_files:
        raise TooManyFiles(f"The body has more than {max_files} files. Send fewer at once.")
    if not files:
        raise BadParameter(
            "The multipart body has no file. Send each image as a file, for example with "
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
    """Return the bytes of a part; adjacent spans are copied in one slice."""
    if not spans:
        return b""
    if all(stop == start for (_, stop), (start, _) in pairwise(spans)):
        return body[spans[0][0] : spans[-1][1]]
    return b"".join(body[start:stop] for start, stop in spans)


def _text(body: bytes, part: _Part) -> str:
    """Return the text of a field, at most 64 KiB: no field needs more, since photos are files."""
    content = _content(body, part.spans)
    return content[:_MAX_FIELD_BYTES].decode("utf-8", "replace")
