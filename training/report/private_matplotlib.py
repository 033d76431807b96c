"""Import matplotlib without leaving files in the user's home directory.

When it is imported, matplotlib makes ~/.config/matplotlib and writes a list of the system's fonts
to ~/.cache/matplotlib; fc-list, which it runs for that list, writes fontconfig's cache. The plots
use the font that matplotlib brings along. During the import, matplotlib's folder is therefore a
temporary one, and system fonts are ignored, which keeps the list short and fast to make.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType


@cache
def load() -> ModuleType:
    """Import matplotlib with its list of fonts, and return it."""
    with (
        tempfile.TemporaryDirectory(prefix="hubel-matplotlib-") as folder,
        _defaults(MPLCONFIGDIR=folder, MPL_IGNORE_SYSTEM_FONTS="1"),
    ):
        import matplotlib as mpl
        import matplotlib.font_manager  # makes the list of fonts
    return mpl


@contextmanager
def _defaults(**variables: str) -> Iterator[None]:
    """Set the environment variables that the user has not set, and unset them at the end."""
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]
