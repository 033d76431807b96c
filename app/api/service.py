"""The objects that routes use; `app.main.create_service` creates them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from app.api.auth import Keys
from app.api.metrics import Metrics
from app.errors import QueueFull
from app.runtime.classifier import Classifier
from app.runtime.inspection import Inspector
from app.runtime.registry import Registry
from app.runtime.session import DeviceChoice


@dataclass
class Lifecycle:
    """The stage of the process between its start and its end."""

    draining: bool = False
    """True after SIGTERM: requests still get responses, but load balancers should send no more."""


@dataclass(frozen=True)
class BodyLimits:
    """The limits of a request's body."""

    max_image_bytes: int
    max_body_bytes: int
    """The limit for a multipart or JSON body."""
    max_files: int
    timeout_s: float
    """The time in which the whole body must arrive."""


@dataclass
class MemoryBudget:
    """A counter of the bytes of all request bodies in memory, with a limit."""

    max_bytes: int
    held_bytes: int = field(default=0, init=False)

    @contextmanager
    def hold(self) -> Generator["MemoryShare", None, None]:
        """Count one request's body until the `with` block ends."""
        share = MemoryShare(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.bytes


@dataclass
class MemoryShare:
    """The bytes that one request takes of the budget."""

    budget: MemoryBudget
    bytes: int = 0

    def grow_to(self, size: int) -> None:
        """Count `size` bytes in total for this request.

        Raises:
            QueueFull: all requests together would hold more than the budget's limit.
        """
        more = max(0, size - self.bytes)
        self.check_room(more)
        self.bytes += more
        self.budget.held_bytes += more

    def check_room(self, more: int) -> None:
        """Check that the budget has room for `more` bytes at this moment.

        Raises:
            QueueFull: all requests together would hold more than the budget's limit.
        """
        if self.budget.held_bytes + more > self.budget.max_bytes:
            raise QueueFull(
                f"Requests in progress already hold {self.budget.held_bytes} bytes. "
                "Try again later, or send smaller images.",
                retry_after_s=1,
            )


@dataclass(frozen=True)
class Service:
    """The objects that routes use."""

    registry: Registry
    classifier: Classifier
    inspector: Inspector
    device: DeviceChoice
    keys: Keys
    limits: BodyLimits
    memory_budget: MemoryBudget
    metrics: Metrics
    lifecycle: Lifecycle


async def get_service(request: Request) -> Service:
    """Return the application's service; a dependency of routes."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]
