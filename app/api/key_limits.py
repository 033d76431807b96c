"""The limits of named keys: requests a second, images a minute and concurrent requests.

a key with limits -> `KeyUses.of` -> `LimitedRequest.begin`: a request is counted, or refused before
                                     its body is read
images are known  -> `check_images`: too many are refused -> queued -> `take_images`: counted
every response    -> `headers`: the RateLimit fields of draft-ietf-httpapi-ratelimit-headers-11
its end           -> `end`: one concurrent request less

What is refused isn't counted. All of this runs on the event loop, so it needs no lock.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.types import Scope

from app.api.moving_window import MovingWindow
from app.errors import KeyLimitExceeded, TooManyFiles
from app.keys_file import KeyLimits, NamedKey

KEY_LIMITS = "key_limits"
"""The key in a scope's state under which the `LimitedRequest` is put, if the key has limits."""

_SECOND_S, _MINUTE_S = 1.0, 60.0
_MANY_KEYS = 1024
"""At this number of keys, those that were revoked or not used for a minute are forgotten."""


class KeyUse:
    """The use of one key.

    Args:
        name: the key's name.
        limits: its limits, which may be replaced at any time.
        clock: returns the time in seconds.
    """

    def __init__(self, name: str, limits: KeyLimits, clock: Callable[[], float]) -> None:
        self._name = name
        self.limits = limits
        self._requests = MovingWindow(_SECOND_S, clock)
        self._images = MovingWindow(_MINUTE_S, clock)
        self._running = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request runs, and nothing was used in the time of the limits."""
        return not self._running and self._requests.is_unused and self._images.is_unused

    def begin(self) -> None:
        """Count a request that begins.

        Raises:
            KeyLimitExceeded: it is one too many, in the last second or at once.
        """
        quota = self.limits.requests_per_second
        if quota is not None and (wait_s := self._requests.wait_s(1, quota)):
            raise self._exceeded(
                f"{_count(quota, 'request')} a second", "Send requests more slowly.", wait_s
            )
        quota = self.limits.concurrent_requests
        if quota is not None and self._running >= quota:
            raise self._exceeded(
                f"{_count(quota, 'request')} at once", "Wait for a response before the next.", 1.0
            )
        self._requests.take(1)
        self._running += 1

    def end(self) -> None:
        """Count the end of a request."""
        self._running -= 1

    def check_images(self, images: int) -> None:
        """Check that `images` more images may be queued.

        Raises:
            KeyLimitExceeded: there is no room for them in this minute.
            TooManyFiles: there never is.
        """
        quota = self.limits.images_per_minute
        if quota is None:
            return
        if images > quota:
            raise TooManyFiles(
                f"The request has {images} images, and the key {self._name} may send {quota} a "
                "minute. Send them in several requests."
            )
        if wait_s := self._images.wait_s(images, quota):
            raise self._exceeded(f"{_count(quota, 'image')} a minute", "Try again later.", wait_s)

    def take_images(self, images: int) -> None:
        """Count `images` images that were queued."""
        self._images.take(images)

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the header fields that tell the limits and what is left of them."""
        policies, left = [], []
        quota = self.limits.requests_per_second
        if quota is not None:
            policies.append(f'"requests";q={quota};w=1')
            left.append(f'"requests";{_state(self._requests, quota)}')
        quota = self.limits.images_per_minute
        if quota is not None:
            policies.append(f'"images";q={quota};qu="images";w=60')
            left.append(f'"images";{_state(self._images, quota)}')
        quota = self.limits.concurrent_requests
        if quota is not None:
            policies.append(f'"concurrent";q={quota};qu="concurrent-requests"')
            left.append(f'"concurrent";r={max(0, quota - self._running)}')
        yield b"ratelimit-policy", ", ".join(policies).encode()
        yield b"ratelimit", ", ".join(left).encode()

    def _exceeded(self, allowed: str, advice: str, wait_s: float) -> KeyLimitExceeded:
        return KeyLimitExceeded(
            f"The key {self._name} may send {allowed}. {advice}", retry_after_s=_seconds(wait_s)
        )


@dataclass
class LimitedRequest:
    """A request with a key that has limits."""

    use: KeyUse
    _has_begun: bool = False

    def begin(self) -> None:
        """Count the request.

        Raises:
            KeyLimitExceeded: it is one too many, in the last second or at once.
        """
        self.use.begin()
        self._has_begun = True

    def end(self) -> None:
        """Count the end of the request, unless it was refused at its begin."""
        if self._has_begun:
            self.use.end()


def use_of(scope: Scope) -> KeyUse | None:
    """Return the use of a request's key; None if it has no limits."""
    limited: LimitedRequest | None = scope["state"].get(KEY_LIMITS)
    return None if limited is None else limited.use


class KeyUses:
    """The use of all keys that have limits.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uses: dict[str, KeyUse] = {}

    def of(self, key: NamedKey) -> KeyUse | None:
        """Return the use of a key, with the limits that it has now; None if it has none."""
        if key.limits is None:
            return None
        use = self._uses.get(key.sha256)
        if use is None:
            if len(self._uses) >= _MANY_KEYS:
                self._uses = {hash: use for hash, use in self._uses.items() if not use.is_idle}
            use = self._uses[key.sha256] = KeyUse(key.name, key.limits, self._clock)
        use.limits = key.limits
        return use


def _state(window: MovingWindow, quota: int) -> str:
    return f"r={window.left(quota)};t={_seconds(window.next_release_s())}"


def _seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
