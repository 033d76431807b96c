"""Throttling of wrong keys, by address: guessing is slow to observe and cheap to reject.

wrong key -> counted for the client's address: a burst of _BURST, then one in _INTERVAL_S -> 401
          -> faster than that: 429 with Retry-After
right key -> always accepted at once, whatever others send from the same address
"""

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger("hubel")

_BURST = 20
"""More than the requests of a page or a client that is started with an old key."""
_INTERVAL_S = 1.0
_MAX_ADDRESSES = 10_000
"""They take 1.5 MB. The address that was quiet for longest is forgotten first."""
_LOG_INTERVAL_S = 60.0
_IPV6_PREFIX = 64
"""A household or a host has at least this prefix of IPv6 for itself."""


class WrongKeys:
    """The wrong keys that each address has sent.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowed_at: OrderedDict[str, float] = OrderedDict()
        """The time at which an address has used up nothing, as if keys came at the interval."""
        self._log_at = -math.inf

    def __len__(self) -> int:
        """Return the number of addresses that are remembered."""
        return len(self._allowed_at)

    def count(self, address: str) -> float:
        """Count one wrong key, and return the seconds to wait; 0 if it is within the limit."""
        now = self._clock()
        origin = _origin(address)
        used_until = max(self._allowed_at.pop(origin, now), now) + _INTERVAL_S
        wait_s = used_until - now - _BURST * _INTERVAL_S
        self._allowed_at[origin] = used_until - _INTERVAL_S if wait_s > 0 else used_until
        if len(self._allowed_at) > _MAX_ADDRESSES:
            self._allowed_at.popitem(last=False)
        if wait_s > 0 and now >= self._log_at:
            self._log_at = now + _LOG_INTERVAL_S
            log.warning("wrong keys from %s are throttled", origin)
        return max(0.0, wait_s)


def _origin(address: str) -> str:
    """Return the part of an address that one client can't change at will."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
