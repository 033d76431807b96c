"""List and read files in object stores and on servers, by obstore.

    s3://bucket/key  gs://bucket/key     the usual variables give access: AWS_*, GOOGLE_*
    https://host/path                    one file or shard; servers have no list of their files

A shard is read in ranges, the next one while the last one is used, so that it takes little memory
and a connection that breaks costs one range.
"""

import io
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from app.errors import BadParameter, HubelError, first_line_of
from app.sources.addresses import LISTED, is_hidden
from app.sources.entry import HEAD_BYTES, require_size
from app.sources.errors import SourceUnavailable
from app.sources.local_files import Found

RANGE_BYTES = 4 << 20
"""Bytes of a request for a part of a shard."""
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_LISTED_AT_ONCE = 1000
_WHOLE_FILE_S = 24 * 3600
"""The time that a file from a server without ranges may take."""


def read(address: str, max_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        BadParameter: there is no such file, or access is denied.
        SourceUnavailable: the store can't be reached.
        TooManyBytes: it is larger than `max_bytes`; only its head was read.
    """
    import obstore

    store, path = _open_store(address)
    try:
        result = obstore.get(store, path)
        size = int(result.meta["size"])
        if size <= max_bytes:
            return bytes(result.bytes())
    except Exception as err:
        raise _error(address, err) from err
    require_size(size, max_bytes)
    raise AssertionError  # require_size has raised


def read_head(address: str) -> bytes:
    """Return the first bytes of a file; errors are those of `read`."""
    import obstore

    store, path = _open_store(address)
    try:
        return bytes(obstore.get_range(store, path, start=0, length=HEAD_BYTES))
    except Exception as err:
        raise _error(address, err) from err


def find(address: str) -> Found:
    """Return a file with its size and tag; errors are those of `read`."""
    import obstore

    store, path = _open_store(address)
    try:
        meta = obstore.head(store, path)
    except Exception as err:
        raise _error(address, err) from err
    return Found(address, int(meta["size"]), _tag(meta))


def list_below(address: str) -> Iterator[Found]:
    """Yield the file at `address`, or all files below it, in the order of their names.

    Raises:
        BadParameter: there is nothing, the address can't be listed, or access is denied.
        SourceUnavailable: the store can't be reached.
    """
    if not address.startswith(LISTED):
        yield find(address)
        return
    import obstore

    store, path = _open_store(address)
    prefix = path.rstrip("/")
    root = address[: len(address) - len(path)].rstrip("/")
    found = False
    try:
        if prefix and not address.endswith("/"):
            try:
                meta = obstore.head(store, prefix)
                yield Found(address, int(meta["size"]), _tag(meta))
                found = True
            except FileNotFoundError:
                pass
        for metas in obstore.list(store, prefix or None, chunk_size=_LISTED_AT_ONCE):
            for meta in metas:
                path = str(meta["path"])
                if path != prefix and not is_hidden(path.removeprefix(prefix)):
                    found = True
                    yield Found(f"{root}/{path}", int(meta["size"]), _tag(meta))
    except HubelError:
        raise
    except Exception as err:
        raise _error(address, err) from err
    if not found:
        raise BadParameter(f"There are no files in {address}. Correct the address.")


def open_file(address: str) -> BinaryIO:
    """Open a shard for reading in ranges; errors are those of `read`, now or while it is read."""
    import obstore

    store, path = _open_store(address)
    try:
        meta = obstore.head(store, path)
        if not address.startswith(LISTED) and not _has_ranges(store, path, int(meta["size"])):
            return _copied(address)
    except Exception as err:
        raise _error(address, err) from err
    return cast(BinaryIO, io.BufferedReader(_Ranges(address, store, path, dict(meta)), 1 << 16))


class _Ranges(io.RawIOBase):
    """A file that is read in ranges, each requested before it is needed."""

    def __init__(self, address: str, store: Any, path: str, meta: dict[str, Any]) -> None:
        self._address, self._store, self._path = address, store, path
        self._size, self._tag = int(meta["size"]), meta.get("e_tag")
        self._place = 0
        self._start, self._data = 0, b""
        self._next: tuple[int, Future[bytes]] | None = None
        self._reader = ThreadPoolExecutor(1, "ranges")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._place >= self._size or not view.nbytes:
            return 0
        if not self._start <= self._place < self._start + len(self._data):
            self._load()
        offset = self._place - self._start
        count = min(view.nbytes, len(self._data) - offset)
        view[:count] = self._data[offset : offset + count]
        self._place += count
        return count

    def close(self) -> None:
        self._reader.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _load(self) -> None:
        """Take the range at the present place, and request the one behind it."""
        if self._next is not None and self._next[0] == self._place:
            data = self._next[1].result()
        else:
            data = self._get(self._place)
        if not data:
            raise SourceUnavailable(
                f"{self._address} ended after {self._place:,} of {self._size:,} bytes. Try again."
            )
        self._start, self._data = self._place, data
        after = self._start + len(data)
        self._next = None
        if after < self._size:
            self._next = after, self._reader.submit(self._get, after)

    def _get(self, start: int) -> bytes:
        import obstore

        options: dict[str, Any] = {"range": (start, min(start + RANGE_BYTES, self._size))}
        if self._tag:
            options["if_match"] = self._tag
        try:
            return bytes(obstore.get(self._store, self._path, options=options).bytes())
        except Exception as err:
            raise _error(self._address, err) from err


def _has_ranges(store: Any, path: str, size: int) -> bool:
    """Return whether a server sends a part of a file, which not all do."""
    import obstore

    try:
        return size == 0 or len(obstore.get_range(store, path, start=0, length=1)) == 1
    except Exception:
        return False


def _copied(address: str) -> BinaryIO:
    """Return a temporary copy of a file on a server without ranges."""
    import obstore

    store, path = _open_store(address)
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - its reader closes it
    for chunk in obstore.get(store, path).stream(min_chunk_size=1 << 20):
        file.write(chunk)
    file.seek(0)
    return file


def _open_store(address: str) -> tuple[Any, str]:
    """Return the store of an address, and the path in it.

    Raises:
        BadParameter: the extra `s3` is not installed, or the address is wrong.
    """
    try:
        import obstore  # noqa: F401
    except ImportError as err:
        raise BadParameter(
            f"{address} needs the extra `s3`. Install it with `pip install hubel[s3]`."
        ) from err
    if address.startswith(LISTED):
        scheme, _, rest = address.partition("://")
        bucket, _, path = rest.partition("/")
        if not bucket:
            raise BadParameter(f"{address} names no bucket. Write {scheme}://bucket/folder.")
        return _store(f"{scheme}://{bucket}"), path
    parts = urlsplit(address)
    if not parts.netloc:
        raise BadParameter(f"{address} names no server. Write https://server/file.")
    if parts.query or not parts.path.strip("/"):
        return _store(address), ""
    return _store(f"{parts.scheme}://{parts.netloc}"), unquote(parts.path).lstrip("/")


@lru_cache(maxsize=64)
def _store(root: str) -> Any:
    from obstore.store import from_url

    options: dict[str, Any] = {"retry_config": _RETRIES}
    if not root.startswith(LISTED):
        options["client_options"] = {
            "allow_http": root.startswith("http://"),
            "timeout": timedelta(seconds=_WHOLE_FILE_S),
        }
    try:
        return from_url(root, **options)
    except Exception as err:  # obstore has exceptions of its own
        raise _error(root, err) from err


def _tag(meta: Any) -> str:
    return str(meta.get("e_tag") or meta.get("last_modified") or "")


def _error(address: str, err: Exception) -> HubelError:
    """Return the expected error in place of one of obstore's."""
    if isinstance(err, HubelError):
        return err
    kind = type(err).__name__
    shown = address.partition("?")[0]  # a query may hold a signature
    if isinstance(err, FileNotFoundError):
        return BadParameter(f"There is no {shown}. Correct the address.")
    if isinstance(err, PermissionError) or kind in (
        "PermissionDeniedError",
        "UnauthenticatedError",
    ):
        return BadParameter(
            f"Access to {shown} is denied. Check the variables with its keys, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if kind == "PreconditionError":
        return SourceUnavailable(f"{shown} changed while it was read. Run the command again.")
    reason = first_line_of(err).partition("?")[0]
    return SourceUnavailable(f"{shown} can't be read ({reason}). Try again later.")
