"""Which photos are kept: HUBEL_CAPTURE, such as `unsure,unknown,sample:0.01`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from app.captures.capture import Reason

_DECISIONS = ("unsure", "unknown")
_EXAMPLE = "unsure,unknown,sample:0.01"


@dataclass(frozen=True)
class CaptureRule:
    """The decisions whose photos are kept, and the share of all others."""

    unsure: bool = False
    unknown: bool = False
    sample: float = 0.0
    """From 0 to 1."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule of a setting, whose parts are separated by commas; empty: none is kept.

        Raises:
            ValueError: a part is unknown, comes twice, or its share isn't from 0 to 1.
        """
        decisions = dict.fromkeys(_DECISIONS, False)
        sample: float | None = None
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, colon, share = part.partition(":")
            if name in decisions and not colon and not decisions[name]:
                decisions[name] = True
            elif name == "sample" and colon and sample is None:
                sample = _share(share)
            else:
                raise ValueError(
                    f"{part!r} is not a part of it, or comes twice. Write it like {_EXAMPLE}."
                )
        return cls(**decisions, sample=sample or 0.0)

    def reason(
        self, decision: str | None, draw: Callable[[], float] = random.random
    ) -> Reason | None:
        """Return why a photo with this decision is kept, or None.

        Args:
            decision: the decision about the photo; None if its model decides nothing.
            draw: returns a random number from 0 to below 1.
        """
        if decision == "unsure" and self.unsure:
            return "unsure"
        if decision == "unknown" and self.unknown:
            return "unknown"
        if self.sample and draw() < self.sample:
            return "sample"
        return None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"sample:{text} is no share from 0 to 1. Write it like {_EXAMPLE}.")
    return share
