"""The parameters of a header such as Content-Disposition: text -> {name: value}.

    form-data; name="file"; filename="a.jpg"     plain values, quoted or not
    form-data; filename*=utf-8''%e2%82%ac.jpg    with a charset, RFC 8187 (formerly 5987)
    form-data; filename*0="long"; filename*1="-name.jpg"    in pieces, RFC 2231

RFC 7578 forbids the last two in forms, but urllib3 before 1.25 sends the second for every name that
isn't ASCII, and mail libraries that write forms send the third.
"""

import re
from urllib.parse import unquote_to_bytes

CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16", "utf-16le", "utf-16be")
"""The charsets that are read; text in any other is read as UTF-8. Some of Python's are no charsets:
unicode_escape makes lone surrogates, which no response can hold."""
_PARAMETER = re.compile(
    # Possessive quantifiers: an unterminated quote ends at the end, in linear time.
    r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)\\?"?|([^;]*+))',
    re.S,
)
_SECTION = re.compile(r"(.+?)(?:\*([0-9]{1,3}))?(\*)?", re.S)
"""The base of a parameter's name, the number of its piece, and the mark of percent-encoding."""
_CHARSET = re.compile(r"([^']*)'[^']*'(.*)", re.S)
"""The charset and the language before a percent-encoded value."""
_ESCAPED = re.compile(r'\\([\\"])')


def split_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Return the value before the first semicolon in lower case, and the parameters.

    Names are in lower case. A plain value precedes one in pieces or with a charset. Of several
    values of one name, the last is returned.
    """
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(header):
        name, quoted, token = match.groups()
        value = token.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        section = _SECTION.fullmatch(name.lower())
        if section is None or (section[2] is None and section[3] is None):
            plain[name.lower()] = value
        else:
            number = int(section[2] or 0)
            pieces.setdefault(section[1], {})[number] = (value, section[3] is not None)
    joined = {name: _join(numbered) for name, numbered in pieces.items()}
    return header.partition(";")[0].strip().lower(), {**joined, **plain}


def _join(numbered: dict[int, tuple[str, bool]]) -> str:
    """Return the text of a value in pieces, each percent-encoded or not."""
    charset, content = "utf-8", b""
    for number in sorted(numbered):
        text, is_encoded = numbered[number]
        if is_encoded:
            if number == 0 and (match := _CHARSET.match(text)):
                charset, text = match.groups()
            content += unquote_to_bytes(text)
        else:
            content += text.encode()
    return content.decode(charset if charset.lower() in CHARSETS else "utf-8", "replace")
