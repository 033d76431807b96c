"""The requests that a canary answers: a share, by a hash of the request's id.

The same id always leads to the same version. A larger share keeps the requests of a smaller one.
"""

from hashlib import blake2b

from app.bundle import Manifest

_BITS = 64


def is_in_share(request_id: str, name: str, version: int, share: float) -> bool:
    """Return whether a request belongs to the share of a model's tried version.

    Model and version are part of the hash, so that each trial gets other requests.
    """
    text = f"{name}\0{version}\0{request_id}"
    digest = blake2b(text.encode(), digest_size=_BITS // 8).digest()
    return bool(int.from_bytes(digest, "big") < share * 2**_BITS)


def is_interchangeable(one: Manifest, other: Manifest) -> bool:
    """Return whether two versions have the same labels in the same order, and the same input."""
    names = [[label.name for label in manifest.labels] for manifest in (one, other)]
    same_task = one.task == other.task
    return same_task and names[0] == names[1] and one.input.shape == other.input.shape
