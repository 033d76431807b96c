"""The files of models that wait for an import: HUBEL_DATA_DIR/uploads/<id>.onnx, for a time."""

import re
import shutil
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import BadParameter, UnknownUpload
from app.uploads.onnx_outline import OnnxOutline

FOLDER = "uploads"
"""The folder of the uploads in HUBEL_DATA_DIR."""
_FILE = re.compile(r"([0-9a-f]{32})\.(onnx|body)")
_UNPACKED = re.compile(r"[0-9a-f]{32}\.bundle")
_MAX_FILES = 8
"""Models that wait at one time; the oldest makes room."""
_THREADS = 2


@dataclass(frozen=True)
class Upload:
    """An ONNX file that waits for an import."""

    id: str
    path: Path
    bytes: int
    outline: OnnxOutline


class UploadFiles:
    """The uploads in a data folder; a context manager for the life of the service.

    Args:
        data_dir: the folder of HUBEL_DATA_DIR, which must exist.
        keep_s: seconds after which a file is removed.

    Raises:
        BadParameter: the folder can't be written.
    """

    def __init__(self, data_dir: Path, keep_s: float) -> None:
        self.executor = ThreadPoolExecutor(_THREADS, "uploads")
        """Threads for requests about uploads."""
        self._folder = data_dir / FOLDER
        self._keep_s = keep_s
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._folder.iterdir():  # what a killed process left
                if _FILE.fullmatch(path.name) and path.suffix == ".body":
                    path.unlink(missing_ok=True)
                elif _UNPACKED.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
        except OSError as err:
            raise BadParameter(
                f"{data_dir} can't keep uploads ({err}). Name a folder that this user may write "
                "in HUBEL_DATA_DIR."
            ) from err
        self.remove_old()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the threads."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    def new_file(self) -> Path:
        """Return the path of a file for a body."""
        return self._folder / f"{uuid.uuid4().hex}.body"

    def new_folder(self) -> Path:
        """Return the path of a folder for a bundle."""
        return self._folder / f"{uuid.uuid4().hex}.bundle"

    def keep(self, body: Path) -> Upload:
        """Keep the file of a body, which `new_file` named, for an import.

        Raises:
            NotAModel: it is no ONNX file.
            OSError: it can't be kept.
        """
        outline = OnnxOutline.of_file(body)
        path = body.with_suffix(".onnx")
        with self._lock:
            body.rename(path)
        self.remove_old()
        return Upload(path.stem, path, path.stat().st_size, outline)

    def path(self, id: str) -> Path:
        """Return the file of an upload.

        Raises:
            UnknownUpload: there is none of this id, or it has expired.
        """
        self.remove_old()
        path = self._folder / f"{id}.onnx"
        if not _FILE.fullmatch(f"{id}.onnx") or not path.is_file():
            raise UnknownUpload(f"There is no upload {id[:40]!r}. Send the file again.")
        return path

    def remove_old(self) -> None:
        """Remove files that have expired, and the oldest beyond the number that may wait."""
        with self._lock:
            files = [path for path in self._folder.glob("*.onnx") if _FILE.fullmatch(path.name)]
            newest = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
            until = time.time() - self._keep_s
            for number, path in enumerate(newest):
                if number >= _MAX_FILES or path.stat().st_mtime < until:
                    path.unlink(missing_ok=True)
