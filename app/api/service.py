"""What the routes work with; `app.main` puts it together, once."""

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
    """Where the process is between its start and its end."""

    draining: bool = False
    """SIGTERM has come: requests are still answered, but load balancers should look elsewhere."""


@dataclass(frozen=True)
class BodyLimits:
    """What a request's body may be."""

    max_image_bytes: int
    max_body_bytes: int
    """For several images in one body."""
    max_files: int
    timeout_s: float
    """In which all of it must have arrived."""


@dataclass
class Buffer:
    """Counts the bytes of all bodies that are held in memory."""

    max_bytes: int
    held_bytes: int = field(default=0, init=False)

    @contextmanager
    def hold(self) -> Generator["Held", None, None]:
        """Account for one request's body until the block ends."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held_bytes -= held.bytes


@dataclass
class Held:
    """One request's part of the buffer."""

    buffer: Buffer
    bytes: int = 0

    def grow_to(self, size: int) -> None:
        """Account for `size` bytes in all.

        Raises:
            QueueFull: all requests together would hold more than the buffer's limit.
        """
        more = max(0, size - self.bytes)
        self.check_room(more)
        self.bytes += more
        self.buffer.held_bytes += more

    def check_room(self, more: int) -> None:
        """Refuse now what could not be held now.

        Raises:
            QueueFull: all requests together would hold more than the buffer's limit.
        """
        if self.buffer.held_bytes + more > self.buffer.max_bytes:
            raise QueueFull(
                f"Requests that are being answered hold {self.buffer.held_bytes} bytes already. "
                "Try again later, or send smaller images.",
                retry_after_s=1,
            )


@dataclass(frozen=True)
class Service:
    """Everything that a route may need."""

    registry: Registry
    classifier: Classifier
    inspector: Inspector
    device: DeviceChoice
    keys: Keys
    limits: BodyLimits
    buffer: Buffer
    metrics: Metrics
    lifecycle: Lifecycle


async def get_service(request: Request) -> Service:
    """The application's service, for routes."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]
