"""Recognise files that are neither an ONNX model nor a text, by their first bytes.

People name the file that they have: a checkpoint, an archive, or a web page that a download left in
its place. Each kind has one sentence that says what to do with it.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD_BYTES = 4096
_EXPORT = "Export the model to ONNX, and name the .onnx file."


@dataclass(frozen=True)
class FileKind:
    """A kind of file, in words, and what to do with it."""

    name: str
    """With its article, as "a PyTorch checkpoint"."""
    advice: str


_PYTORCH = FileKind(
    "a PyTorch checkpoint or TorchScript file",
    "Export the model with torch.onnx.export, and name the .onnx file.",
)
_KERAS = FileKind("a Keras model", "Convert it with model.export(..., format='onnx') or tf2onnx.")
_PICKLE = FileKind(
    "a Python pickle",
    "Export the model to ONNX with torch.onnx.export or skl2onnx.",
)
_ARCHIVE = FileKind("an archive", "Unpack it, and name the .onnx file inside.")
_WEB_PAGE = FileKind("a web page", "Download the file itself: open the link of its raw content.")
_PICTURE = FileKind("a picture", _EXPORT)
_NUMPY = FileKind("a NumPy array", _EXPORT)
_JSON = FileKind("a JSON file", _EXPORT)

_STARTS: Sequence[tuple[bytes, FileKind]] = (
    (
        b"version https://git-lfs.github.com/spec",
        FileKind("a Git LFS pointer", "Fetch the file itself with `git lfs pull`."),
    ),
    (b"\x89HDF\r\n\x1a\n", _KERAS),
    (b"\x1f\x8b", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"\x93NUMPY", _NUMPY),
    (b"GGUF", FileKind("a GGUF model", _EXPORT)),
    (b"\xff\xd8\xff", _PICTURE),
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"%PDF-", FileKind("a PDF", _EXPORT)),
    (b"\x7fELF", FileKind("a program", _EXPORT)),
    (b"ftrt", FileKind("a TensorRT engine", _EXPORT)),
)
_AT_FOUR: Sequence[tuple[bytes, FileKind]] = (
    (
        b"TFL3",
        FileKind("a TensorFlow Lite model", "Convert it to ONNX with tf2onnx (--tflite)."),
    ),
    (
        b"ORTM",
        FileKind(
            "a model in ONNX Runtime's own format (.ort)",
            "Name the .onnx file that it was converted from.",
        ),
    ),
)
_PICKLE_PROTOCOLS = frozenset({2, 3, 4, 5})
_LENGTH_BYTES = 8


def kind_of(data: bytes) -> FileKind | None:
    """Return the kind of a file that is no ONNX model and no plain text; None for any other."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    for mark, kind in _AT_FOUR:
        if data[4 : 4 + len(mark)] == mark:
            return kind
    if data.startswith(b"PK\x03\x04"):
        return _zip_kind(data)
    if data[:1] == b"\x80" and data[1:2] and data[1] in _PICKLE_PROTOCOLS:
        return _PYTORCH if b"torch" in data[:_HEAD_BYTES] else _PICKLE
    if _is_safetensors(data):
        return FileKind(
            "a file of weights without a network (safetensors)",
            "Export the model to ONNX, for example with Optimum.",
        )
    return _markup_kind(data)


def model_kind(data: bytes) -> FileKind | None:
    """Return the kind of a file that is no ONNX model, plain texts included; None for any other."""
    return kind_of(data) or _tensorflow_kind(data) or _text_kind(data[:_HEAD_BYTES])


def _tensorflow_kind(data: bytes) -> FileKind | None:
    if b"\x12\x05serve" in data[:_HEAD_BYTES]:
        return FileKind("a TensorFlow SavedModel", "Convert its folder to ONNX with tf2onnx.")
    return None


def _text_kind(head: bytes) -> FileKind | None:
    if not head:
        return FileKind("an empty file", "Name a model exported to ONNX.")
    if head.lstrip()[:1] in (b"{", b"["):
        return _JSON
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    is_text = all(character.isprintable() or character in "\r\n\t" for character in text)
    return FileKind("a text", _EXPORT) if is_text else None


def _zip_kind(data: bytes) -> FileKind:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return FileKind("a broken archive", "Download it again.")
    if any(name.endswith(("/data.pkl", "/version")) or name == "data.pkl" for name in names):
        return _PYTORCH
    if {"config.json", "model.weights.h5"} <= set(names):
        return _KERAS
    if any(name.endswith(".npy") for name in names):
        return _NUMPY
    return _ARCHIVE


def _is_safetensors(data: bytes) -> bool:
    if len(data) <= _LENGTH_BYTES or data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        return False
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    try:
        return isinstance(json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length]), dict)
    except (ValueError, RecursionError):
        return False


def _markup_kind(data: bytes) -> FileKind | None:
    head = data[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        return _WEB_PAGE
    if head.startswith((b"<?xml", b"<net")):
        return FileKind("an XML file", _EXPORT)
    return None
