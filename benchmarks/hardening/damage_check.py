"""Decode one damaged image and compare it with what its header announces.

file -> decode -> an exception that isn't an `InputError`                     a problem
               -> more memory than the estimate of its header                 a problem
               -> more CPU than a plain photo takes, times its megapixels     a problem
"""

import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from app import vision
from app.errors import HubelError, InputError
from app.vision.fused_resize.filter_weights import Resample
from benchmarks.hardening.images import pillow
from benchmarks.hardening.peak_memory import peak_bytes, reset_peak, resident_bytes

MAX_COST = 20
"""The most CPU time for each megapixel, as a multiple of that of a photo of 480 x 480."""
HEADER_BYTES = 8_000_000
"""The most memory for a file that is refused by its header."""
_ROUNDS = 3
"""A time that is too long is measured again as often; the shortest counts."""


@dataclass(frozen=True)
class _Spec:
    height: int = 240
    width: int = 240
    crop: float = 1.0
    resample: Resample = "bicubic"


@dataclass
class Totals:
    """Counts and extremes of many mutants."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    memory_share: float = 0.0
    """The largest peak, as a share of its estimate."""
    cost: float = 0.0
    """The longest time for a megapixel, in photos of 480 x 480."""

    def add(self, other: "Totals") -> None:
        """Include the mutants of `other`."""
        self.outcomes += other.outcomes
        self.kinds += other.kinds
        self.memory_share = max(self.memory_share, other.memory_share)
        self.cost = max(self.cost, other.cost)


class Checker:
    """Decodes mutants and compares each with its limits.

    Args:
        limits: the limits of the service.
    """

    def __init__(self, limits: vision.Limits) -> None:
        self._limits = limits
        self._spec = _Spec()
        self._photo = pillow("JPEG", "RGB", (480, 480), quality=85)
        self.totals = Totals()
        for _ in range(5):
            self._decode(self._photo)
        self._photo_s = min(self._decode(self._photo)[1] for _ in range(20))

    def problem(self, data: bytes) -> str | None:
        """Decode `data`; return what is wrong, or None."""
        before = resident_bytes()
        reset_peak()
        try:
            outcome, seconds, estimate = self._decode(data)
        except Exception:
            return "raises\n" + traceback.format_exc()
        taken = peak_bytes() - before
        self.totals.outcomes[outcome] += 1
        self.totals.memory_share = max(self.totals.memory_share, taken / estimate)
        if taken > estimate:
            return (
                f"takes {taken / 1e6:.1f} MB; the estimate is {estimate / 1e6:.1f} MB ({outcome})"
            )
        return self._check_time(data, seconds, outcome)

    def _check_time(self, data: bytes, seconds: float, outcome: str) -> str | None:
        if seconds <= self.totals.cost * self._photo_s:
            return None
        megapixels = max(1.0, _announced_pixels(data) / 1e6)
        cost = seconds / self._photo_s / megapixels
        if cost > MAX_COST:
            seconds = min(self._decode(data)[1] for _ in range(_ROUNDS))
            control_s = min(self._decode(self._photo)[1] for _ in range(_ROUNDS))
            cost = seconds / max(control_s, self._photo_s) / megapixels
        self.totals.cost = max(self.totals.cost, min(cost, MAX_COST))
        if cost <= MAX_COST:
            return None
        return (
            f"takes {cost:.1f} times the CPU of a photo of 480 x 480 for each of "
            f"{megapixels:.1f} megapixels ({seconds * 1e3:.0f} ms; {outcome})"
        )

    def _decode(self, data: bytes) -> tuple[str, float, int]:
        """Return the outcome, the CPU seconds and the estimated memory."""
        estimate, outcome = HEADER_BYTES, "decoded"
        began = time.thread_time()
        try:
            opened = vision.read_header(data, self._limits)
            estimate = opened.work.memory_bytes
            pixels = vision.resize(opened.decode(), self._spec)
        except InputError as err:
            outcome = err.code
            if type(err) is InputError or not err.message.endswith("."):
                raise
        except HubelError:
            raise
        else:
            assert pixels.shape == (self._spec.height, self._spec.width, 3)
        return outcome, time.thread_time() - began, estimate


def _announced_pixels(data: bytes) -> int:
    """Return the pixels that the header announces, as Pillow reads it; 0 where it can't."""
    try:
        with Image.open(BytesIO(data)) as opened:
            return opened.width * opened.height
    except Exception:  # Pillow raises nearly every built-in exception on broken files
        return 0
