"""The parser of multipart/form-data: a body -> its files and its other fields.

    body -> delimiters -> parts: headers and content
         -> Content-Transfer-Encoding is undone; multipart/mixed is split again
         -> each part is a file or a field, is empty and skipped, or is an error

The body is already in memory and within its limit. Callers run this on a thread, because a body of
many images takes milliseconds.
"""

import binascii
import codecs
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from app.api.request.header_parameters import CHARSETS, split_parameters
from app.errors import BadParameter, TooManyFiles

_MAX_FIELDS = 32
"""The maximum number of parts that are not files."""
_MAX_FIELD_BYTES = 65536
"""The maximum length of a field; photos are files."""
_MAX_HEADER_BYTES = 8192
"""The maximum length of a part's headers."""
_MAX_BOUNDARY_BYTES = 256
"""RFC 2046 allows 70."""
_CROP = "crop"
"""The name of the field that may be repeated."""
_IDENTITY_ENCODINGS = ("", "7bit", "8bit", "binary")
_LINE_AFTER_MARK = re.compile(rb"--|[ \t]*+(\r?\n)")
"""The rest of a delimiter's line: the sign of the last one, or padding and the line's end."""
_CONTROL_CHARACTERS = re.compile(r"[\0-\x08\x0e-\x1f]")

Body = bytes | mmap.mmap
"""A body in memory, or in a file, of which the parts are in memory one after another."""


def is_multipart(content_type: str) -> bool:
    """Return whether a body of this content type is multipart; any other is a raw image."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


@dataclass(frozen=True)
class Form:
    """The files and fields of a multipart body."""

    files: list[bytes]
    """The contents of the files, in order."""
    fields: dict[str, str]
    """The values of the other fields by name, without those that are empty."""
    crops: list[str] = field(default_factory=list)
    """The values of the field `crop`, which may be repeated, in order."""


@dataclass(frozen=True)
class Part:
    """A part of a multipart body."""

    number: int
    """Its position in the body, from 1."""
    headers: dict[str, str]
    """Values by name in lower case."""
    content: bytes

    @cached_property
    def _disposition(self) -> dict[str, str]:
        return split_parameters(self.headers.get("content-disposition", ""))[1]

    @cached_property
    def content_type(self) -> tuple[str, dict[str, str]]:
        """The media type in lower case, and its parameters."""
        return split_parameters(self.headers.get("content-type", ""))

    @property
    def file_name(self) -> str:
        """The name of the file that was sent, without folders; empty if it has none."""
        return self._disposition.get("filename", "").replace("\\", "/").rpartition("/")[2]

    @property
    def name(self) -> str:
        """The name of its field."""
        return self._disposition.get("name", "")

    @property
    def description(self) -> str:
        """The part's place in the body, for errors."""
        return f"Part {self.number} ({self.name!r})" if self.name else f"Part {self.number}"

    @property
    def is_unselected_file(self) -> bool:
        """True for a file input in a browser's form in which no file was selected."""
        return not self.content and self._disposition.get("filename") == ""

    @property
    def is_file(self) -> bool:
        """True for a file.

        Some clients send one without a file name: it then has the type of an image or of bytes, or
        it isn't text.
        """
        media_type, _ = self.content_type
        return (
            "filename" in self._disposition
            or media_type == "application/octet-stream"
            or media_type.startswith("image/")
            or self.text is None
        )

    @cached_property
    def text(self) -> str | None:
        """The content as text, at most the first 64 KiB; None if it isn't text."""
        charset = self.content_type[1].get("charset", "").lower()
        decoder = codecs.getincrementaldecoder(charset if charset in CHARSETS else "utf-8")()
        is_whole = len(self.content) <= _MAX_FIELD_BYTES
        try:
            text = decoder.decode(self.content[:_MAX_FIELD_BYTES], is_whole)
        except ValueError:
            return None
        return None if _CONTROL_CHARACTERS.search(text) else text


def split_files(body: bytes, content_type: str, max_files: int) -> list[bytes]:
    """Return the contents of the files in `body`, in order; other fields are skipped.

    Raises:
        BadParameter: the body is not valid multipart, or has no file.
        TooManyFiles: the body has more than `max_files` files.
    """
    return split_form(body, content_type, max_files).files


def split_form(body: bytes, content_type: str, max_files: int) -> Form:
    """Return the files and fields of `body`; every part that has content is one of them.

    Raises:
        BadParameter: the body is not valid multipart, has no file, or has a part that is neither a
            file nor a field, or two different values of one field.
        TooManyFiles: the body has more than `max_files` files.
    """
    _, options = split_parameters(content_type)
    files: list[bytes] = []
    fields: dict[str, str] = {}
    crops: list[str] = []
    for part in all_parts(body, options.get("boundary", ""), max_files + _MAX_FIELDS):
        if part.is_unselected_file or not (part.content or part.is_file):
            continue
        if part.is_file:
            files.append(part.content)
        elif part.name == _CROP:
            crops += _crop(part)
        else:
            _add_field(fields, part)
    if len(files) > max_files:
        raise TooManyFiles(f"The body has more than {max_files} files. Send fewer at once.")
    if not files:
        raise BadParameter(_no_file(fields))
    return Form(files, fields, crops)


def _no_file(fields: dict[str, str]) -> str:
    text = next((f": {name!r} is a field with text" for name in fields), "")
    return (
        f"The multipart body has no file{text}. Send each image as a file, for example with "
        "curl -F file=@photo.jpg, where @ stands before the file's name."
    )


def _crop(part: Part) -> list[str]:
    """Return the value of a field `crop`; nothing if it is empty."""
    values: dict[str, str] = {}
    _add_field(values, part)
    return [value for value in values.values() if value.strip()]


def _add_field(fields: dict[str, str], part: Part) -> None:
    if not part.name:
        raise BadParameter(
            f"{part.description} of the multipart body has neither a name nor a file name. Send "
            "an image as a file, and a parameter as a field with its name."
        )
    if len(part.content) > _MAX_FIELD_BYTES:
        raise BadParameter(
            f"The field {part.name!r} has {len(part.content)} bytes; {_MAX_FIELD_BYTES} are "
            "allowed. Send an image as a file."
        )
    value = part.text or ""
    if fields.setdefault(part.name, value) != value:
        raise BadParameter(
            f"The field {part.name!r} was sent twice, with different values. Send it once."
        )


def all_parts(body: Body, boundary: str, max_parts: int) -> Iterator[Part]:
    """Yield the parts, and in place of a part of the type multipart/mixed the parts inside it."""
    number = 0
    for outer in _parts(body, boundary, "The multipart body"):
        inner = [outer]
        if outer.content_type[0].startswith("multipart/"):
            # RFC 2388 sent several files of one field so; RFC 7578 no longer does
            nested = outer.content_type[1].get("boundary", "")
            inner = list(
                _parts(outer.content, nested, f"{outer.description} of the multipart body")
            )
        for part in inner:
            number += 1
            if number > max_parts:
                raise TooManyFiles(f"The body has more than {max_parts} parts. Send fewer at once.")
            if part is not outer and part.content_type[0].startswith("multipart/"):
                raise BadParameter("The multipart body is nested twice. Send each image as a file.")
            yield Part(number, part.headers, _decoded(part))


def _parts(body: Body, boundary: str, subject: str) -> Iterator[Part]:
    """Yield the parts between the delimiters of RFC 2046, with their contents as they were sent.

    The text before the first delimiter and after the last one is ignored. Lines end with CRLF, or
    all of them with LF, as programs that write the body by hand send it.

    Raises:
        BadParameter: the boundary is missing or too long, or `body` doesn't end with it.
    """
    mark = b"--" + boundary.encode("latin-1", "replace")
    if not boundary:
        raise BadParameter(
            f"{subject}'s Content-Type has no boundary. Let your HTTP client set the header."
        )
    if len(mark) > _MAX_BOUNDARY_BYTES:
        raise BadParameter(
            f"{subject}'s boundary is longer than {_MAX_BOUNDARY_BYTES} bytes. Choose a "
            "shorter one."
        )
    first = _first_delimiter(body, mark)
    if first is None:
        raise BadParameter(
            f"{subject} can't be read: it doesn't contain the boundary {boundary[:70]!r} of its "
            "Content-Type. Let your HTTP client set the header."
        )
    line_end = first[1]
    if line_end is None:  # the closing delimiter: there is no part
        return
    delimiter = line_end + mark
    number, start = 1, first.end()
    while True:
        # The delimiter of a part without headers and content comes at once
        stop = _find_delimiter(body, delimiter, line_end, max(0, start - len(line_end)))
        if stop is None:
            raise BadParameter(f"{subject} ends before its last boundary. Send it again.")
        end, after, is_last = stop
        yield _read_part(body, start, max(start, end), line_end, number)
        if is_last:
            return
        number, start = number + 1, after


def _first_delimiter(body: Body, mark: bytes) -> re.Match[bytes] | None:
    """Return the match of `_LINE_AFTER_MARK` at the first line that begins with `mark`."""
    begin = 0 if body[: len(mark)] == mark else body.find(b"\n" + mark) + 1 or len(body)
    while begin < len(body):
        if match := _LINE_AFTER_MARK.match(body, begin + len(mark)):
            return match
        begin = body.find(b"\n" + mark, begin) + 1 or len(body)
    return None


def _find_delimiter(
    body: Body, delimiter: bytes, line_end: bytes, start: int
) -> tuple[int, int, bool] | None:
    """Return where the next delimiter begins and its line ends, and whether it is the last one."""
    while (begin := body.find(delimiter, start)) >= 0:
        after = begin + len(delimiter)
        match = _LINE_AFTER_MARK.match(body, after)
        if match and match[1] in (None, line_end):
            return begin, match.end(), match[1] is None
        start = after  # a longer line that begins like it
    return None


def _read_part(body: Body, start: int, stop: int, line_end: bytes, number: int) -> Part:
    """Return the part in `body[start:stop]`; an empty line separates headers and content."""
    if body[start : start + len(line_end)] == line_end:
        return Part(number, {}, body[start + len(line_end) : stop])
    empty_line = line_end * 2
    begin = body.find(empty_line, start, min(stop, start + _MAX_HEADER_BYTES) + len(empty_line))
    if begin < 0 and stop - start > _MAX_HEADER_BYTES:
        raise BadParameter(
            f"The headers of part {number} of the multipart body can't be read: they have more "
            f"than {_MAX_HEADER_BYTES} bytes. Send an empty line after them."
        )
    end = stop if begin < 0 else begin
    headers = _headers(body[start:end], line_end, number)
    return Part(number, headers, body[min(stop, end + len(empty_line)) : stop])


def _headers(head: bytes, line_end: bytes, number: int) -> dict[str, str]:
    """Return the headers by name in lower case; continued lines are joined."""
    try:
        text = head.decode()
    except ValueError:
        text = head.decode("latin-1")
    end = line_end.decode()
    headers = {}
    for line in re.sub(f"{end}[ \t]+", " ", text).split(end):
        name, colon, value = line.partition(":")
        if line and not colon:
            raise BadParameter(
                f"The multipart body can't be read: a header of part {number} has no colon. Send "
                "an empty line before the content of a part."
            )
        headers[name.strip().lower()] = value.strip()
    return headers


def _decoded(part: Part) -> bytes:
    """Return the content without its Content-Transfer-Encoding, which RFC 2045 defines.

    Raises:
        BadParameter: the content isn't valid in its encoding, or the encoding is unknown.
    """
    if (coding := part.headers.get("content-encoding", "identity").lower()) != "identity":
        raise BadParameter(
            f"{part.description} of the multipart body has the Content-Encoding {coding!r}, which "
            "isn't read. Send the image without it."
        )
    encoding = part.headers.get("content-transfer-encoding", "").lower()
    if encoding in _IDENTITY_ENCODINGS:
        return part.content
    try:
        if encoding == "base64":
            without_lines = part.content.translate(None, b" \t\r\n")
            return binascii.a2b_base64(without_lines, strict_mode=True)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(part.content)
    except binascii.Error as err:
        raise BadParameter(
            f"{part.description} of the multipart body isn't {encoding}, as its "
            f"Content-Transfer-Encoding says ({err}). Send the image's bytes without encoding."
        ) from err
    raise BadParameter(
        f"{part.description} of the multipart body has the Content-Transfer-Encoding "
        f"{encoding!r}, which isn't read. Send the image's bytes without encoding."
    )
