"""Read the tensors of a file that an old `torch.save` wrote, without torch.

    pickle: magic number, protocol, sizes of types
    pickle: an OrderedDict of tensors, each a view (offset, shape, strides) of a storage
    pickle: the keys of the storages, in the order in which their bytes follow
    for each storage: the number of its elements as int64, then the elements

This is the format of torch before 1.6; newer files are zip archives. The unpickler knows four
names and calls nothing else, so a file can't run code.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _View:
    """A tensor whose storage has not been read yet."""

    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]
    """In elements."""

    def of(self, storage: Array) -> Array:
        """Return the tensor, a contiguous copy."""
        if self.offset + sum(
            (side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True)
        ) >= len(storage):
            raise pickle.UnpicklingError(f"a tensor lies beyond the storage {self.key}")
        strides = [stride * storage.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(
            storage[self.offset :], self.shape, strides, writeable=False
        )
        return np.array(view, order="C")


def read_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of the file by name.

    Raises:
        pickle.UnpicklingError: the file has another format, or holds something but tensors.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        if (_load(file), _load(file)) != (_MAGIC_NUMBER, _PROTOCOL):
            raise pickle.UnpicklingError("it was not written by torch.save before torch 1.6")
        _load(file)  # the sizes of C types on the machine that wrote it
        views = _load(file)
        if not isinstance(views, Mapping):
            raise pickle.UnpicklingError("it holds no tensors by name")
        dtypes = {view.key: view.dtype for view in views.values()}
        storages = {key: _storage(file, dtypes[key]) for key in _load(file)}
    return {name: view.of(storages[view.key]) for name, view in views.items()}


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()


def _storage(file: BinaryIO, dtype: np.dtype[Any]) -> Array:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _rebuild(
    storage: tuple[str, np.dtype[Any]],
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    *_: object,
) -> _View:
    """Do what torch._utils._rebuild_tensor_v2 does, but for the storage."""
    key, dtype = storage
    return _View(key, dtype, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """An unpickler of tensors alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a global of the file."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any]]:
        """Return key and type of a storage: ("storage", type, key, device, elements, view)."""
        _, dtype, key, *_ = pid
        return key, dtype
