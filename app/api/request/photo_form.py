"""A form of labelled photos, read from a file part by part: files, and label or labels."""

import mmap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.api.request.header_parameters import split_parameters
from app.api.request.multipart import Body, Part, all_parts
from app.api.unknown_parameters import unknown_name
from app.dataset_store import SentPhoto
from app.dataset_store.names import MAX_LABELS, check_label
from app.errors import BadParameter, TooManyFiles

_LABEL, _LABELS, _MOVE = "label", "labels", "move"
_MAX_FIELDS = MAX_LABELS + 1
_FLAGS = {"true": True, "1": True, "on": True, "false": False, "0": False, "": False}


class PhotoForm:
    """The files of a form and their labels.

    Args:
        body: the multipart body.
        content_type: the request's.
        max_files: the most files that it may have.

    Raises:
        BadParameter: it is no form of labelled photos.
        TooManyFiles: it has more files, or more fields than there are.
    """

    def __init__(self, body: Body, content_type: str, max_files: int) -> None:
        self._body = body
        self._boundary = split_parameters(content_type)[1].get("boundary", "")
        self._max_parts = max_files + _MAX_FIELDS
        self.files = 0
        label: list[str] = []
        labels: list[str] = []
        self.move = False
        """Whether photos that are there under other labels get these."""
        for part in self._parts():
            if part.is_file:
                self.files += 1
            elif part.name == _LABEL:
                label.append(part.text or "")
            elif part.name == _LABELS:
                labels.append(part.text or "")
            elif part.name == _MOVE:
                self.move = _flag(part.text or "")
            else:
                raise unknown_name("form field", part.name, (_LABEL, _LABELS, _MOVE))
        if self.files > max_files:
            raise TooManyFiles(f"The body has more than {max_files} files. Send fewer at once.")
        if not self.files:
            raise BadParameter(
                "The form has no file. Send each photo as a file, for example with curl -F "
                "file=@photo.jpg, where @ stands before the file's name."
            )
        self.labels = _labels(label, labels)
        """The labels of all its photos."""

    def photos(self) -> Generator[SentPhoto, None, None]:
        """Yield the photos, each read when it is its turn."""
        for part in self._parts():
            if part.is_file:
                name = part.file_name or f"file {part.number}"
                yield SentPhoto(name[:200], part.content, self.labels)

    def _parts(self) -> Generator[Part, None, None]:
        for part in all_parts(self._body, self._boundary, self._max_parts):
            if not part.is_unselected_file:
                yield part


def _labels(label: list[str], labels: list[str]) -> tuple[str, ...]:
    if bool(label) == bool(labels) or len(label) > 1:
        raise BadParameter(
            "Send one form field label, or the field labels once for each label of the photos; "
            "empty if they have none."
        )
    names = tuple(dict.fromkeys(check_label(name) for name in label or labels if name.strip()))
    if label and not names:
        raise BadParameter("The form field label is empty. Send a label.")
    if len(names) > MAX_LABELS:
        raise BadParameter(f"A photo has at most {MAX_LABELS} labels. Send fewer.")
    return names


def _flag(text: str) -> bool:
    value = _FLAGS.get(text.strip().lower())
    if value is None:
        raise BadParameter("The form field move is true or false. Send one of them.")
    return value


@contextmanager
def mapped(path: Path) -> Generator[Body, None, None]:
    """Yield the content of a file as a body."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
            yield body
