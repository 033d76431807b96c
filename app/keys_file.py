"""The keys file: named keys with a scope each, stored as hashes.

    hubel keys add -> `create` -> the key, shown once
                               -> its SHA-256 -> `change`: written beside, then renamed
    the service    -> `KeysFile.follow`, every second -> `KeysFile.find` for each request

A key has 256 random bits, so one SHA-256 is enough: there is nothing to guess from a hash. A file
that can't be read while the service runs changes nothing, so that no key fails by a broken edit.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.durable_files import write_file
from app.errors import BadParameter
from app.periodic import Periodic

log = logging.getLogger("hubel")

INTERVAL_S = 1.0
"""The time within which a change of the file takes effect."""
_PREFIX = "hubel_"
"""The beginning of every key, by which scanners of source code can find one."""
_RANDOM_BYTES = 32

Scope = Literal["classify", "label", "admin"]
SCOPES: tuple[Scope, ...] = ("classify", "label", "admin")
"""Each scope includes those before it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Limit = Annotated[int, Field(ge=1)] | None


class KeyLimits(_Part):
    """The limits of one key; None: unlimited."""

    requests_per_second: _Limit = None
    images_per_minute: _Limit = None
    concurrent_requests: _Limit = None

    @property
    def or_none(self) -> Self | None:
        """These limits; None if there is none among them."""
        return self if self.model_dump(exclude_none=True) else None


class NamedKey(_Part):
    """A key without its secret."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    scope: Scope
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: str
    """The time in UTC, in the format of RFC 3339."""
    limits: KeyLimits | None = None

    def allows(self, scope: Scope) -> bool:
        """Return whether the key's scope includes `scope`."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class NamedKeys(_Part):
    """The content of a keys file."""

    schema_version: Literal[1] = 1
    keys: tuple[NamedKey, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len({key.name for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same name")
        return self


def hash_of(key: str) -> str:
    """Return the hash under which a key is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(name: str, scope: Scope, limits: KeyLimits | None = None) -> tuple[str, NamedKey]:
    """Return a new key and what is stored of it.

    Args:
        name: the key's name.
        scope: what it allows.
        limits: its limits; None: it is unlimited.

    Raises:
        BadParameter: the name has other characters than letters, digits, `.`, `_` and `-`.
    """
    key = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        return key, NamedKey(
            name=name, scope=scope, sha256=hash_of(key), created=created, limits=limits
        )
    except ValidationError as err:
        raise BadParameter(
            f"{name!r} can't be a key's name. Use up to 64 letters, digits, '.', '_' and '-'."
        ) from err


def read(file: Path) -> NamedKeys:
    """Return the content of a keys file.

    Raises:
        BadParameter: it can't be read, or isn't a keys file.
    """
    try:
        return NamedKeys.model_validate_json(file.read_bytes(), strict=True)
    except FileNotFoundError as err:
        raise BadParameter(
            f"The keys file {file} doesn't exist. Make it: hubel keys add NAME --file {file}"
        ) from err
    except OSError as err:
        raise BadParameter(
            f"The keys file {file} can't be read ({err.strerror}). Let this user read it."
        ) from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadParameter(
            f"The keys file {file} is invalid ({where}: {first['msg']}). Repair it, or make a new "
            "one with hubel keys add."
        ) from err


def change(file: Path, changed: Callable[[NamedKeys], NamedKeys]) -> None:
    """Replace the content of a keys file by what `changed` makes of it; of none, if it is missing.

    Raises:
        BadParameter: the file can't be read, or isn't a keys file.
        OSError: it can't be written.
    """
    target = file.resolve()
    with _locked(target.parent):
        keys = changed(read(file) if target.exists() else NamedKeys())
        text = keys.model_dump_json(indent=1, exclude_none=True) + "\n"
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        write_file(target, text.encode(), mode=mode)


@contextmanager
def _locked(folder: Path) -> Generator[None, None, None]:
    """Hold a lock on `folder`, so that two commands don't overwrite each other's change."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class KeysFile(Periodic):
    """The keys of a file that is read again when it changes; a context manager that follows it.

    Args:
        file: the keys file.
        interval_s: seconds between two looks at it.

    Raises:
        BadParameter: the file can't be read, or isn't a keys file.
    """

    def __init__(self, file: Path, interval_s: float = INTERVAL_S) -> None:
        self._file = file
        self._stamp = self._stamp_on_disk()
        self._keys = _by_hash(read(file))
        super().__init__(self.follow, interval_s, "keys")

    def find(self, key: str) -> NamedKey | None:
        """Return the named key that `key` is, or None."""
        return self._keys.get(hash_of(key))

    def follow(self) -> None:
        """Read the file if it has changed; a file that is invalid or missing changes nothing."""
        stamp = self._stamp_on_disk()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = _by_hash(read(self._file))
        except BadParameter as err:
            log.error("The keys stay as they were: %s", err)
        else:
            log.info("%s has changed; keys in it: %d", self._file, len(self._keys))

    def _stamp_on_disk(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _by_hash(keys: NamedKeys) -> Mapping[str, NamedKey]:
    return {key.sha256: key for key in keys.keys}
