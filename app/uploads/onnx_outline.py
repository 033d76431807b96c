"""The inputs and outputs of an ONNX file, read from its bytes without loading its weights.

An ONNX file is a protobuf message (onnx.proto): ModelProto.graph -> GraphProto.input, .output and
.initializer. Weights are stepped over by their length, so that a file of gigabytes takes no memory;
the number of steps is limited, so that no file takes long.
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotAModel

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MAX_FIELDS = 1_000_000
_MAX_VARINT_BYTES = 10
_MORE = 0x80
_MAX_NAME_BYTES = 1000
_GRAPH, _NODE, _INITIALIZER, _INPUT, _OUTPUT = 7, 1, 5, 11, 12
_TENSOR_NAME, _DATA_LOCATION, _EXTERNAL = 8, 14, 1
_VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE = 1, 2, 1, 1, 2
_DIMENSION, _LENGTH, _SYMBOL = 1, 1, 2
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
}

_Span = tuple[int, int]
"""Where a part of the file begins and ends."""


@dataclass(frozen=True)
class Value:
    """An input or an output of a graph."""

    name: str
    type: str
    shape: Sequence[int | str | None]
    """A length, the name of one that may vary, or None: unknown."""


@dataclass(frozen=True)
class OnnxOutline:
    """The inputs and outputs of a graph."""

    inputs: Sequence[Value]
    outputs: Sequence[Value]

    @classmethod
    def of_file(cls, path: Path) -> "OnnxOutline":
        """Return the outline of a file.

        Raises:
            NotAModel: it is no ONNX file, or keeps its weights elsewhere.
            OSError: it can't be read.
        """
        if not path.stat().st_size:
            raise _no_model()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data).outline()
            except (ValueError, IndexError, UnicodeDecodeError) as err:
                raise _no_model() from err


class _Reader:
    """Steps through the fields of a message.

    Args:
        data: the file.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._left = _MAX_FIELDS

    def outline(self) -> OnnxOutline:
        graphs = list(self._parts((0, len(self._data)), _GRAPH))
        if len(graphs) != 1:
            raise ValueError
        inputs: list[_Span] = []
        outputs: list[_Span] = []
        weights: set[str] = set()
        nodes = 0
        for number, value in self._fields(graphs[0]):
            if not isinstance(value, tuple):
                continue
            if number == _NODE:
                nodes += 1
            elif number == _INITIALIZER:
                weights.add(self._weight(value))
            elif number == _INPUT:
                inputs.append(value)
            elif number == _OUTPUT:
                outputs.append(value)
        values = [self._value(span) for span in inputs]
        found = OnnxOutline(
            [value for value in values if value.name not in weights],
            [self._value(span) for span in outputs],
        )
        if not (nodes and found.inputs and found.outputs):
            raise ValueError
        return found

    def _weight(self, span: _Span) -> str:
        name = ""
        for number, value in self._fields(span):
            if number == _TENSOR_NAME and isinstance(value, tuple):
                name = self._text(value)
            elif number == _DATA_LOCATION and value == _EXTERNAL:
                raise NotAModel(
                    "The ONNX file keeps its weights in another file. Save it as one file, for "
                    "example with onnx.save(onnx.load('model.onnx'), 'whole.onnx')."
                )
        return name

    def _value(self, span: _Span) -> Value:
        name, kind = "", "unknown"
        shape: list[int | str | None] = []
        for number, value in self._fields(span):
            if not isinstance(value, tuple):
                continue
            if number == _VALUE_NAME:
                name = self._text(value)
            elif number == _VALUE_TYPE:
                for tensor in self._parts(value, _TENSOR_TYPE):
                    for inner, field in self._fields(tensor):
                        if inner == _ELEMENT_TYPE and isinstance(field, int):
                            kind = _TYPES.get(field, "unknown")
                        elif inner == _SHAPE and isinstance(field, tuple):
                            shape += map(self._length, self._parts(field, _DIMENSION))
        return Value(name, kind, shape)

    def _length(self, span: _Span) -> int | str | None:
        for number, value in self._fields(span):
            if number == _LENGTH and isinstance(value, int):
                return value
            if number == _SYMBOL and isinstance(value, tuple):
                return self._text(value)
        return None

    def _text(self, span: _Span) -> str:
        begin, end = span
        if end - begin > _MAX_NAME_BYTES:
            raise ValueError
        return self._data[begin:end].decode()

    def _parts(self, span: _Span, wanted: int) -> Iterator[_Span]:
        for number, value in self._fields(span):
            if number == wanted and isinstance(value, tuple):
                yield value

    def _fields(self, span: _Span) -> Iterator[tuple[int, int | _Span]]:
        """Yield number and value of each field: a whole number, or where its bytes are."""
        at, end = span
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError
            key, at = self._varint(at, end)
            number, kind = key >> 3, key & 7
            value: int | _Span
            if kind == _VARINT:
                value, at = self._varint(at, end)
            elif kind == _BYTES:
                length, at = self._varint(at, end)
                value, at = (at, at + length), at + length
            elif kind in (_FIXED_64, _FIXED_32):
                size = 8 if kind == _FIXED_64 else 4
                value, at = (at, at + size), at + size
            else:
                raise ValueError
            if at > end or not number:
                raise ValueError
            yield number, value

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        result = 0
        for count in range(_MAX_VARINT_BYTES):
            if at >= end:
                raise ValueError
            byte = self._data[at]
            at += 1
            result |= (byte & ~_MORE) << (7 * count)
            if not byte & _MORE:
                return result, at
        raise ValueError


def _no_model() -> NotAModel:
    return NotAModel(
        "The body is neither an ONNX file nor a zip with a bundle. Export the model to ONNX first."
    )
