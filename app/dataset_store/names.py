"""The names of datasets, labels, and the folders and files of photos."""

import hashlib
import re
import unicodedata

from app.dataset.label_folder import PHOTOS
from app.errors import BadParameter

EXTENSIONS = {
    "jpeg": "jpg",
    "png": "png",
    "webp": "webp",
    "gif": "gif",
    "bmp": "bmp",
    "tiff": "tiff",
    "avif": "avif",
    "heic": "heic",
}
"""The ends of file names by format."""
FORMATS = {extension: format for format, extension in EXTENSIONS.items()}
MAX_LABEL = 200
"""Characters of a label."""
MAX_LABELS = 100
"""Labels of one photo."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NOT_IN_LABELS = re.compile(r"[\x00-\x1f\x7f;]")
_FILE = re.compile(rf"([0-9a-f]{{32}})\.({'|'.join(FORMATS)})")


def is_name(name: str) -> bool:
    """Return whether a dataset may have this name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return the name of a dataset.

    Raises:
        BadParameter: it is none.
    """
    if not is_name(name):
        raise BadParameter(
            "The name of a dataset has 1 to 64 of the characters a-z, 0-9, '.', '_' and '-', and "
            "begins with a letter or a digit. Choose another one."
        )
    return name


def check_label(text: str) -> str:
    """Return a label without spaces around it, in Unicode's normal form C.

    Raises:
        BadParameter: it is empty or too long, or has a `;` or a control character.
    """
    label = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(label) <= MAX_LABEL or _NOT_IN_LABELS.search(label) or not _is_unicode(label):
        raise BadParameter(
            f"The label {label[:40]!r} can't be used. A label has 1 to {MAX_LABEL} characters, no "
            "';' and no control characters."
        )
    return label


def hashed_folder(label: str, number: int = 0) -> str:
    """Return the folder of a label that can't be the name of one itself.

    Args:
        label: the label.
        number: 1 or more for another folder of the same label.
    """
    digest = hashlib.sha256(f"{label}{number or ''}".encode()).hexdigest()
    return f"{PHOTOS}/{digest[:8]}"


def photo_of(file: str) -> tuple[str, str] | None:
    """Return the id and the format of a photo by the name of its file; None: of another file."""
    found = _FILE.fullmatch(file)
    return (found[1], FORMATS[found[2]]) if found else None


def is_id(text: str) -> bool:
    """Return whether `text` could be the id of a photo."""
    return bool(re.fullmatch(r"[0-9a-f]{32}", text))


def id_of(data: bytes) -> str:
    """Return the id of a photo: half of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
