"""The indexes that a service searches: loaded at start, and again when one was replaced.

    --index: an index, or a folder of indexes -> checked -> read into memory
    index.json was replaced -> the new one is checked, then replaces the old one in one step
                            -> it can't be used: the old one stays, and the log says why; it is
                               tried again when any file of its folder has changed
    its folder is gone      -> it serves on, as a model does, and the log and the list say so
    a request: index and model by name -> the index, and the model that made it

A request keeps its index until it is done.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from app.errors import BadParameter, HubelError, IndexInvalid, UnknownIndex
from app.periodic import Periodic
from app.runtime.loaded_model import Model
from app.runtime.registry import Registry
from app.vector_index import (
    MANIFEST,
    IndexManifest,
    VectorIndex,
    is_index,
    open_index,
    read_manifest,
)
from app.vector_index.neighbours import require_faiss

log = logging.getLogger(__name__)

INTERVAL_S = 2.0

Stamp = tuple[int, int, int] | None
"""Time, size and inode of a file; None: it is missing."""
FolderStamp = dict[str, Stamp]
"""The stamps of the files of a folder, by name."""


@dataclass(frozen=True)
class ServedIndex:
    """An index and the name that requests use."""

    name: str
    index: VectorIndex


def model_of(manifest: IndexManifest, name: str, registry: Registry) -> Model:
    """Return the model that made an index.

    Raises:
        UnknownModel: the model isn't there.
        ModelNotReady: it is not loaded.
        IndexInvalid: the bundle that is loaded under its name and version is another one.
    """
    maker = manifest.model
    model = registry.resolve(maker.name, maker.version)
    if model.bundle.seal != maker.sha256:
        raise IndexInvalid(
            f"Index {name!r} was made with another bundle of model {maker.name!r} version "
            f"{maker.version} than the one that is loaded. Make the index again with `hubel index`."
        )
    return model


class ServedIndexes(Periodic):
    """The indexes below a folder; a context manager whose thread follows their changes.

    Args:
        folder: an index, or a folder of indexes.
        registry: the models.
        interval_s: seconds between two looks at the files.

    Raises:
        BadParameter: the folder can't be read or holds no index, or the extra `index` is missing.
    """

    def __init__(self, folder: Path, registry: Registry, interval_s: float = INTERVAL_S) -> None:
        require_faiss()
        self._folder = folder
        self._registry = registry
        self._served: dict[str, ServedIndex] = {}
        self._loaded: dict[str, Stamp] = {}
        """index.json of each index that was loaded last."""
        self._failed: dict[str, FolderStamp] = {}
        """The files of each index as they were before it could not be loaded."""
        self._logged: dict[str, tuple[Stamp, str]] = {}
        """The last error of each index, and its index.json."""
        self._missing: frozenset[str] = frozenset()
        """The indexes that serve although their folders are gone."""
        self._loading_bytes = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called when `memory_bytes` has changed: before and after an index is loaded."""
        if not self._folders():
            raise BadParameter(
                f"{folder} holds no index. Make one with `hubel index PHOTOS --output {folder}`, "
                "or name another --index."
            )
        self._is_missing = False
        super().__init__(self.poll, interval_s, "indexes")

    @property
    def served(self) -> tuple[ServedIndex, ...]:
        """The indexes that requests can use, by name."""
        return tuple(self._served.values())

    @property
    def memory_bytes(self) -> int:
        """The memory that indexes take: those that serve, and the one that is being loaded."""
        return self._loading_bytes + sum(each.index.memory_bytes for each in self.served)

    def _folders(self) -> dict[str, Path]:
        """Return the folders of the indexes by the names that requests use."""
        try:
            if is_index(self._folder):
                return {self._folder.resolve().name: self._folder}
            children = sorted(self._folder.iterdir())
        except OSError as err:
            raise BadParameter(
                f"{self._folder} can't be read ({err.strerror}). Name another --index."
            ) from err
        return {
            child.name: child
            for child in children
            if not child.name.startswith(".") and is_index(child)
        }

    def poll(self) -> None:
        """Load every index whose index.json is new or was replaced.

        One that could not be loaded is tried again once any file of its folder has changed, since
        its files may be copied in any order.
        """
        try:
            folders = self._folders()
        except BadParameter as err:
            if not self._is_missing:
                log.error("the indexes serve on as they are: %s", err)
            self._is_missing = True
            self._missing = frozenset(self._served)
            return
        self._is_missing = False
        self._note_missing(folders)
        for name, folder in folders.items():
            stamp = _stamp_of(folder / MANIFEST)
            if stamp is None or self._loaded.get(name) == stamp or self.is_ending:
                continue
            files = _stamps_in(folder)
            if self._failed.get(name) == files:
                continue
            self._failed[name] = files  # before the load: files that change meanwhile count
            try:
                self._load(name, folder)
            except HubelError as err:
                self._log_error(name, stamp, str(err))
            else:
                self._loaded[name] = stamp
                del self._failed[name]

    def _note_missing(self, folders: Collection[str]) -> None:
        missing = frozenset(self._served.keys() - set(folders))
        for name in sorted(missing - self._missing):
            log.warning("index %s serves on, but its folder or %s is missing", name, MANIFEST)
        self._missing = missing

    def fault_of(self, name: str) -> str | None:
        """Return what is wrong with the files of an index that serves as it was loaded."""
        if name in self._missing:
            return (
                f"Its folder or {MANIFEST} is missing or can't be read. It serves on, as it was "
                "loaded, until the service ends."
            )
        if name in self._failed and name in self._logged:
            return f"{self._logged[name][1]} The index before serves on."
        return None

    def _log_error(self, name: str, stamp: Stamp, text: str) -> None:
        """Log why an index is not used; only once while its files are being copied."""
        if self._logged.get(name) != (stamp, text):
            stays = "; the one before serves on" if name in self._served else ""
            log.error("index %s is not used%s: %s", name, stays, text)
        self._logged[name] = stamp, text

    def _load(self, name: str, folder: Path) -> None:
        """Load an index; its memory is counted before it is taken.

        Raises:
            IndexInvalid: it can't be used.
        """
        self._loading_bytes = read_manifest(folder).vector_bytes
        try:
            self.on_change()
            self._serve(name, _open(folder))
        finally:
            self._loading_bytes = 0
            self.on_change()

    def _serve(self, name: str, index: VectorIndex) -> None:
        maker = index.manifest.model
        log.info(
            "index %s: %d photos, by model %s version %d",
            name,
            index.manifest.count,
            maker.name,
            maker.version,
        )
        try:
            model_of(index.manifest, name, self._registry)
        except HubelError as err:
            log.warning("index %s can't be searched yet: %s", name, err)
        served = {**self._served, name: ServedIndex(name, index)}
        self._served = dict(sorted(served.items()))

    def find(
        self, name: str | None, model: str | None, version: int | None
    ) -> tuple[ServedIndex, Model]:
        """Return the index for a request, and the model that made it.

        Args:
            name: the index; None: the only one, or the only one of `model`.
            model: the model; None: whichever made the index.
            version: its version, likewise.

        Raises:
            UnknownIndex: there is no such index, or none for that model or version.
            BadParameter: there are several, and none is named.
            ModelError: its model can't be used.
            IndexInvalid: it was made with another bundle than the one that is loaded.
        """
        found = [each for each in self.served if name in (None, each.name)]
        if name is not None and not found:
            raise UnknownIndex(f"There is no index {name!r}. {self._list()}")
        of_model = [each for each in found if _is_of(each, model, version)]
        if not of_model:
            wanted = f"model {model!r}" if model else "this model"
            wanted += f" version {version}" if version else ""
            raise UnknownIndex(
                f"No index was made with {wanted}. {self._list()} Name one of these models, or "
                "leave the model out."
            )
        if len(of_model) > 1:
            raise BadParameter(f"There are several indexes, so name one. {self._list()}")
        return of_model[0], model_of(of_model[0].index.manifest, of_model[0].name, self._registry)

    def _list(self) -> str:
        """Return a sentence that lists the indexes."""
        texts = [
            f"{each.name} (model {each.index.manifest.model.name!r} version "
            f"{each.index.manifest.model.version})"
            for each in self.served
        ]
        return f"The service has: {', '.join(texts)}." if texts else "The service has none now."


def _is_of(served: ServedIndex, model: str | None, version: int | None) -> bool:
    maker = served.index.manifest.model
    return model in (None, maker.name) and version in (None, maker.version)


def _stamp_of(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _stamps_in(folder: Path) -> FolderStamp:
    """Return the stamps of all files but hidden ones, which are no part of an index yet."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError:
        return {}
    return {file.name: _stamp_of(file) for file in files}


def _open(folder: Path) -> VectorIndex:
    """Open an index; once more if it was replaced meanwhile."""
    before = read_manifest(folder)
    try:
        return open_index(folder)
    except IndexInvalid:
        if read_manifest(folder) == before:
            raise
        return open_index(folder)
