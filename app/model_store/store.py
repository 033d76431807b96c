"""The model store: bundles in an S3 bucket, copied into a local folder that is then served.

    s3://bucket/models -> fsspec: a list of all files, with their entity tags
                       -> <name>/ and <name>/<version>/ with a bundle.json
                       -> files whose tag differs from the copy's -> .fetching/
                       -> renamed into place, bundle.json last
    files that are gone from the store -> their copies are removed

The copies are verified as every bundle is when they are loaded. They outlive a restart, so that the
service starts while the store can't be reached.
"""

import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from app import bundle as bundles
from app.errors import BadParameter, ModelStoreUnavailable
from app.model_store.listing import files_of_bundles, list_files

_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_STATE, _FETCHING = ".store.json", ".fetching"

log = logging.getLogger("hubel")


class ModelStore:
    """The bundles below an S3 address, and their local copies.

    Args:
        url: the address, such as s3://bucket/models.
        cache: a folder for the copies of all stores; each has one of its own in it.
        filesystem: an fsspec file system; None opens the one for S3.

    Raises:
        BadParameter: the extra `s3` is not installed, or the folder can't be written.
    """

    def __init__(self, url: str, cache: Path, filesystem: Any = None) -> None:
        self.url = url.rstrip("/")
        self._root = self.url.partition("://")[2]
        self._filesystem = filesystem or _s3()
        self._fetching = threading.Lock()
        self.folder = cache / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise BadParameter(
                f"Bundles can't be copied to {self.folder} ({err.strerror}). Name a folder that "
                "this user can write in HUBEL_MODELS_CACHE."
            ) from err

    def prepare(self) -> None:
        """Fetch the bundles; if the store can't be read, leave the copies that exist.

        Raises:
            ModelStoreUnavailable: the store can't be read, and there are no copies.
        """
        try:
            self.fetch()
        except ModelStoreUnavailable as err:
            if not self._state():
                raise
            log.warning("%s The copies of the last start are served.", err)

    def fetch(self) -> None:
        """Make the copies equal to the store.

        Raises:
            ModelStoreUnavailable: the store can't be read, or has no bundles.
        """
        with self._fetching:
            self._fetch()

    def _fetch(self) -> None:
        try:
            listing = list_files(self._filesystem, self._root)
        except Exception as err:  # each file system of fsspec has exceptions of its own
            raise self._unreadable(err) from err
        files, tags = files_of_bundles(listing.tags), listing.tags
        if not files:
            raise ModelStoreUnavailable(
                f"There are no bundles in {self.url}. Copy them there as <name>/bundle.json or "
                "<name>/<version>/bundle.json, or name another address."
            )
        failed: ModelStoreUnavailable | None = None
        for folder, names in files.items():
            try:
                self._fetch_bundle(folder, {name: tags[name] for name in names})
            except ModelStoreUnavailable as err:  # the others are fetched all the same
                failed = err
        kept = {name for names in files.values() for name in names}
        hidden = tuple(f"{folder}/" for folder in listing.unreadable)
        kept |= {name for name in self._state() if name.startswith(hidden)}
        self._remove(self._state().keys() - kept)
        if failed is not None:
            raise failed
        for folder, reason in listing.unreadable.items():
            raise ModelStoreUnavailable(
                f"The folder {folder} of {self.url} can't be listed ({reason}). Rename or remove "
                "the object; the other folders are copied."
            )

    def _fetch_bundle(self, folder: str, tags: Mapping[str, str]) -> None:
        """Copy the changed files of one bundle."""
        before = self._state()
        changed = [
            name
            for name, tag in tags.items()
            if before.get(name) != tag or not (self.folder / name).is_file()
        ]
        if not changed:
            return
        fetching = self.folder / _FETCHING
        shutil.rmtree(fetching, ignore_errors=True)
        try:
            for name in changed:
                (fetching / name).parent.mkdir(parents=True, exist_ok=True)
                self._filesystem.get_file(f"{self._root}/{name}", str(fetching / name))
            for name in sorted(changed, key=lambda each: each.endswith(bundles.MANIFEST)):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (fetching / name).replace(self.folder / name)
            self._save({**before, **tags})
        except Exception as err:  # of the file system in use, or of the folder for copies
            raise self._unreadable(err) from err
        finally:
            shutil.rmtree(fetching, ignore_errors=True)
        log.info("fetched %s of %s: %d files", folder, self.url, len(changed))

    def _remove(self, gone: set[str]) -> None:
        """Remove copies, bundle.json first, and the folders that are empty then."""
        for name in sorted(gone, key=lambda each: not each.endswith(bundles.MANIFEST)):
            file = self.folder / name
            file.unlink(missing_ok=True)
            for above in list(file.parents)[: len(PurePosixPath(name).parts) - 1]:
                if above.is_dir() and not any(above.iterdir()):
                    above.rmdir()
        if gone:
            self._save({n: tag for n, tag in self._state().items() if n not in gone})
            log.info("removed the copies of %d files that %s no longer has", len(gone), self.url)

    def _state(self) -> dict[str, str]:
        """Return the tags of the copied files by name; empty if there are none."""
        try:
            state: dict[str, str] = json.loads((self.folder / _STATE).read_bytes())
        except (OSError, ValueError):
            return {}
        return state

    def _save(self, state: Mapping[str, str]) -> None:
        beside = self.folder / f"{_STATE}.part"
        beside.write_text(json.dumps(state, indent=1), encoding="utf-8")
        beside.replace(self.folder / _STATE)

    def _unreadable(self, err: Exception) -> ModelStoreUnavailable:
        reason = str(err).partition("\n")[0] or type(err).__name__
        return ModelStoreUnavailable(
            f"The models in {self.url} can't be read ({reason}). Check the address, and the "
            "variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL."
        )


def _s3() -> Any:
    """Return the file system for S3, which reads the usual AWS_* variables.

    Raises:
        BadParameter: the extra `s3` is not installed.
    """
    try:
        import fsspec
        from obstore.fsspec import register
    except ImportError as err:
        raise BadParameter(
            "Models on S3 need the extra `s3`. Install it with `pip install hubel[s3]`, or build "
            "the image with --build-arg S3=1."
        ) from err
    register("s3")
    return fsspec.filesystem("s3", retry_config=_RETRIES)
