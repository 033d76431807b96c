"""The rate of `hubel classify` on a folder, in images per second, without its start."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_FEW, _MANY = 16, 528
"""Numbers of photos. Their difference makes the start, which varies, a small part of the time."""


class Bulk:
    """Two folders with few and many copies of the same photos; the difference is measured."""

    def __init__(self, folder: Path) -> None:
        self._models = folder / "models"
        self._folders = {}
        photos = sorted((folder / "480").iterdir())
        for count in (_FEW, _MANY):
            self._folders[count] = Path(tempfile.mkdtemp(dir=folder))
            for number in range(count):
                photo = photos[number % len(photos)]
                shutil.copy(photo, self._folders[count] / f"{number:03}.jpg")

    def measure(self) -> float:
        """Return images per second."""
        return (_MANY - _FEW) / (self._seconds(_MANY) - self._seconds(_FEW))

    def _seconds(self, count: int) -> float:
        hubel = Path(sys.executable).with_name("hubel")
        command = [hubel, "classify", self._folders[count], "--format", "csv"]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--models", self._models],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - began
