"""The loader of bundles: a folder -> an entry that is ready, or refused with its reason.

folder -> its stamp is noted -> load, verify -> unique? not instead of a pinned version? -> ready
                             -> any error    -> the entry as it was, with the reason
"""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from app.errors import BundleError, BundleMismatch, DeviceUnavailable, first_line_of
from app.runtime.catalogue import Catalogue, Entry
from app.runtime.discovery import Stamp, identity, stamp_of
from app.runtime.loaded_model import Model

log = logging.getLogger(__name__)


class BundleLoader:
    """Loads bundles, and remembers in which state each folder was last tried.

    Args:
        load: turns a bundle's folder into a verified model.
    """

    def __init__(self, load: Callable[[Path], Model]) -> None:
        self._load = load
        self._tried: dict[Path, Stamp] = {}
        self.results: Counter[tuple[str, str]] = Counter()
        """The number of loads by model and result, `promoted` or `refused`."""

    def has_tried(self, folder: Path, stamp: Stamp) -> bool:
        """Return whether the last load of `folder` found its files as `stamp` has them."""
        return self._tried.get(folder) == stamp

    def verify(self, folder: Path) -> None:
        """Load a bundle, and let go of it.

        Raises:
            BundleError: it can't be served; paths are relative to its folder.
            DeviceUnavailable: ONNX Runtime can't use the device.
        """
        try:
            self._load(folder)
        except BundleError as err:
            raise type(err)(str(err).replace(f"{folder}/", "")) from err
        except DeviceUnavailable:
            raise
        except Exception as err:  # of ONNX Runtime, about a graph that it can't run
            raise BundleMismatch(
                f"It can't be loaded ({type(err).__name__}: {first_line_of(err)}). Make the bundle "
                "again."
            ) from err

    def load(
        self,
        folder: Path,
        catalogue: Catalogue,
        may_replace_pinned: bool,
        while_loading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Entry:
        """Return the entry of the bundle in `folder`, ready or refused.

        If it is refused, a model that was loaded from the folder before stays in the entry.

        Args:
            folder: the bundle.
            catalogue: the present entries.
            may_replace_pinned: whether a bundle may take the place of the pinned version, if it
                lies in the same folder and is another version.
            while_loading: returns the context in which the model is loaded.

        Raises:
            DeviceUnavailable: ONNX Runtime can't use the device.
        """
        self._tried[folder] = stamp_of(folder)
        before = next((entry for entry in catalogue.entries if entry.folder == folder), None)
        try:
            with while_loading():
                model = self._load(folder)
            _check_unique(model, folder, catalogue)
            if not may_replace_pinned:
                _check_pin(model, before, catalogue)
            entry = Entry(model.name, model.version, folder, model)
            for note in model.notes:
                log.warning("model %s version %d: %s", model.name, model.version, note)
            log.info("model %s version %d is ready", model.name, model.version)
        except BundleError as err:
            log.error("bundle %s is refused: %s", folder, err)
            entry = _refused(folder, before, str(err))
        except DeviceUnavailable:
            raise
        except Exception as err:  # one broken folder must not stop the others
            log.exception("bundle %s can't be loaded", folder)
            reason = f"It can't be loaded ({type(err).__name__}: {err}). Copy it again."
            entry = _refused(folder, before, reason)
        self.results[entry.name, "refused" if entry.reason else "promoted"] += 1
        return entry


def _check_unique(model: Model, folder: Path, catalogue: Catalogue) -> None:
    for other in catalogue.named(model.name):
        is_same = other.version == model.version and other.model is not None
        if is_same and other.folder != folder and other.folder.exists():
            raise BundleMismatch(
                f"{other.folder} is already loaded as version {model.version} of "
                f"{model.name!r}. Give this one a higher version."
            )


def _check_pin(model: Model, before: Entry | None, catalogue: Catalogue) -> None:
    if before is None or before.model is None or before.version is None:
        return
    is_other = (before.name, before.version) != (model.name, model.version)
    if is_other and catalogue.pins.of(before.name).serving == before.version:
        raise BundleMismatch(
            f"{before.folder} now holds version {model.version} of {model.name!r}, but version "
            f"{before.version} of {before.name!r} is pinned and serves on. Reload the model to "
            "serve the new one."
        )


def _refused(folder: Path, before: Entry | None, reason: str) -> Entry:
    if before is not None:
        return replace(before, reason=reason)
    return Entry(*identity(folder), folder, None, reason)
