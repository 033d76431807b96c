"""Make the photo of one file, on disk or in an object store; it is read later."""

from functools import partial

from app.errors import TooManyBytes
from app.sources import local_files, remote_files
from app.sources.addresses import is_remote, names_photo
from app.sources.entry import Photo, ReadOptions, is_image


def file_photo(
    address: str, options: ReadOptions, size: int | None = None, *, is_listed: bool = False
) -> Photo:
    """Return the photo in a file; `is_listed`: it is known only from the list of a store."""
    if not is_remote(address):
        return Photo(address, partial(local_files.read_file, address, options.max_bytes), size)
    may_be_other = is_listed and not names_photo(address)
    read = partial(_read_remote, address, options.max_bytes, may_be_other)
    return Photo(address, read, size, is_remote=True, may_be_other=may_be_other)


def _read_remote(address: str, max_bytes: int, may_be_other: bool) -> bytes:
    """Return the bytes of a file; of one that is too large and no image, its head."""
    try:
        return remote_files.read(address, max_bytes)
    except TooManyBytes:
        if may_be_other and not is_image(head := remote_files.read_head(address)):
            return head
        raise
