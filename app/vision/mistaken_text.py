"""Detect which text was sent in place of an image, and say how to send the image.

    bytes -> text in UTF-8, UTF-16 or UTF-32 -> a data URI, base64, JSON, a page, … -> one sentence
          -> bytes of an image that a program decoded or changed as text          -> one sentence

Clients send text where a program encodes what it should not, or reads the wrong file. The first
4 KiB decide, so a large text costs no more than a small one.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterable

_SEARCHED_BYTES = 4096
_BOMS = (  # the longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL_CHARACTERS = re.compile(r"[\0-\x08\x0e-\x1b\x7f]")
_NOT_ASCII = bytes(range(128, 256))
_MIN_ASCII_SHARE = 0.9
"""The least share of ASCII in a text of one byte a character, such as a page in Latin-1."""

LOST_LINE_ENDS = (
    "This is an image whose line ends were changed or removed, as a transfer as text and curl -d "
    "do. Send its bytes unchanged; with curl, use --data-binary."
)
_MAGICS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a", b"RIFF")
_MIN_STRIPPED_BYTES = 32
_DAMAGED = (
    (
        # U+FFFD, or the first bytes of a JPEG or PNG as characters of Latin-1, in UTF-8
        re.compile(rb"\xef\xbf\xbd|\xc3\xbf\xc3\x98\xc3\xbf|\xc2\x89PNG"),
        "These are bytes that a program decoded as text, which destroys an image. Read the file "
        "as binary, and send its bytes unchanged.",
    ),
    (
        re.compile(rb"\x89PNG(?!\r\n\x1a\n).{4}", re.S),  # the signature has both line ends
        LOST_LINE_ENDS,
    ),
    (
        re.compile(rb"(?:\r?\n)?--[^\r\n]{1,256}\r?\nContent-", re.I),
        "This is a multipart body that was not declared as one. Let your HTTP client set the "
        "Content-Type, which must be multipart/form-data with the boundary.",
    ),
)

_BYTES = "Send the image's bytes themselves"
_KINDS = (
    (
        r"""["'(]*data:[^,\s]{0,200},""",
        "This is a data URI. Send the decoded bytes of the part after its comma.",
    ),
    (
        r"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/",
        "This is a Git LFS pointer, which stands for a file that was not downloaded. Run `git lfs "
        "pull`, and send the image itself.",
    ),
    (
        r"(?:[./\w-]*/)?annex/objects/",
        "This is a git-annex pointer, which stands for a file that was not downloaded. Run `git "
        "annex get`, and send the image itself.",
    ),
    (
        r"outs:\s*- (?:md5|hash|etag|size):",
        "This is a DVC pointer, which stands for a file that was not downloaded. Run `dvc pull`, "
        "and send the image itself.",
    ),
    (
        r"""["'<]?(?:blob:)?(?:https?|ftps?|s3|gs|az|abfss?|hdfs|ipfs|file)://?[^\s"'<>]+["'>]?\s*(?:\Z|\n)""",
        "This is a URL, and URLs are not read here. Download the image, and send its bytes.",
    ),
    (
        r"""(?:bytearray\(|bytes\()?[bB][rR]?["']""",
        f"This is the text of a Python bytes object (b'…'). {_BYTES}, without str() or repr().",
    ),
    (
        r"\[object [\w ]+\]\Z|\[B@[0-9a-f]+|System\.(?:Byte\[\]|IO\.\w+)|"
        r"<[\w.]{1,100}(?: [^>]{0,300})? (?:at|name=|mode=|\[)[^>]{0,300}>\Z|"
        r"<FileStorage|#<\w+[:>]|(?:undefined|null|None|nil|NaN|true|false)\Z",
        f"This is the text of an object in a program, not its content. {_BYTES}.",
    ),
    (
        r"(?s:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|script|title|meta|div)\b",
        "This is an HTML page, often the error or login page of the site that an image was "
        "downloaded from. Download the image again, and look at it before you send it.",
    ),
    (
        r"<(?:\?xml|!doctype|!--|[a-z][\w:.-]*[\s/>])",
        "This is XML, often the error of a storage service that an image was downloaded from. "
        f"{_BYTES}.",
    ),
    (
        r"""\{\s*["'}]|\[\s*[\[\]{"'\dtfn-]""",
        f"This is JSON. {_BYTES}, as the whole body or as a file of a form.",
    ),
    (
        r"\d{1,3}(?:[,;\s]+\d{1,3}){3,}",
        f"These are bytes or pixels as decimal numbers. {_BYTES}.",
    ),
)
_LAST_KINDS = (
    (
        r"[\w.\[\]%+-]{1,64}=",
        "This is a form (application/x-www-form-urlencoded), as curl -d sends it. With curl, send "
        "the image with --data-binary @photo.jpg, or as a file of a form with -F file=@photo.jpg.",
    ),
    (
        r"(?:@[^\r\n]+|[^\r\n<>]+\.(?:jpe?g|jfif|png|webp|gif|bmp|tiff?|hei[cf]|avif))\s*\Z",
        "This is the name of a file, not its content. With curl, put @ before the name: "
        "--data-binary @photo.jpg.",
    ),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_MIN_BASE64 = 100
"""The least length of base64 that isn't seen to be an image."""
_HEX_DUMP = re.compile(r"(?:0x)?[0-9a-f]{4,8}:? ", re.I)
"""The offset at the start of a line of xxd or hexdump."""
_HEX_NOISE = re.compile(r"0x|\\x|[\s:,;-]", re.I)
_HEX = re.compile(r"[0-9a-f]{16,}", re.I)


def text_of(data: bytes) -> str | None:
    """Return the beginning of a text, without its byte order mark; None if `data` isn't text."""
    start = data[:_SEARCHED_BYTES]
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return _decoded(start[len(mark) :], encoding)
    if b"\0" in start:
        for low, high, encoding in ((0, 1, "utf-16-le"), (1, 0, "utf-16-be")):
            if not any(start[high::2]) and all(start[low::2]):
                return _decoded(start, encoding)
        return None
    text = _decoded(start, "utf-8")
    if text is None and len(start.translate(None, _NOT_ASCII)) >= _MIN_ASCII_SHARE * len(start):
        text = _decoded(start, "latin-1")
    return text


def _decoded(start: bytes, encoding: str) -> str | None:
    """Return the text in `start`, which may end within a character."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(start)
    except ValueError:
        return None
    return None if _CONTROL_CHARACTERS.search(text) else text


def lost_its_line_ends(data: bytes) -> bool:
    """Return whether `data` is an image without the bytes that `curl -d @photo.jpg` removes.

    It removes line ends, and zeros with the rest of their lines. Every whole image has a zero, and
    nearly always in its first bytes, so this costs nothing for one.
    """
    return (
        b"\0" not in data
        and b"\n" not in data
        and b"\r" not in data
        and len(data) >= _MIN_STRIPPED_BYTES
        and data.startswith(_MAGICS)
    )


def advice_on(data: bytes, is_image: Callable[[bytes], bool]) -> str | None:
    """Return what `data` is and how to send an image; None if it is no text of a known kind.

    Args:
        data: bytes that are no image.
        is_image: returns whether bytes begin like an image, for those inside a text.
    """
    damages = (sentence for damage, sentence in _DAMAGED if damage.match(data))
    return next(damages, None) or _advice_on_text((text_of(data) or "").strip(), is_image)


def _advice_on_text(text: str, is_image: Callable[[bytes], bool]) -> str | None:
    if sentence := _first_match(_KINDS, text):
        return sentence
    if _is_hex(text, is_image):
        return "This is hexadecimal text. Send the decoded bytes of the image."
    if _is_base64(text, is_image):
        return "This is base64. Send the decoded bytes of the image."
    return _first_match(_LAST_KINDS, text)


def _first_match(kinds: Iterable[tuple[str, str]], text: str) -> str | None:
    return next((sentence for kind, sentence in kinds if re.match(kind, text, re.I)), None)


def _is_hex(text: str, is_image: Callable[[bytes], bool]) -> bool:
    line = text.partition("\n")[0]
    if dump := _HEX_DUMP.match(line):
        line = line[dump.end() :].partition("  ")[0]
    digits = _HEX.match(_HEX_NOISE.sub("", line.strip("\"'")))
    if digits is None:
        return False
    decoded = binascii.a2b_hex(digits[0][: len(digits[0]) // 2 * 2])
    return is_image(decoded)


def _is_base64(text: str, is_image: Callable[[bytes], bool]) -> bool:
    joined = "".join(text.strip("\"'").split())
    match = _BASE64.match(joined)
    if match is None:
        return False
    digits = match[0].rstrip("=")
    decoded = base64.urlsafe_b64decode(
        digits[: len(digits) // 4 * 4].replace("+", "-").replace("/", "_")
    )
    is_whole = match.end() == len(joined) and not re.search(r"\S\s\S", text[: _MIN_BASE64 // 2])
    return is_image(decoded) or (is_whole and len(digits) >= _MIN_BASE64)
