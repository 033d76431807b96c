"""The memory of a response, taken from the budget before the work and returned after it is sent.

images x labels listed -> `take_response` -> TooMuchMemory: it never fits
                                          -> QueueFull: it doesn't fit now
                                          -> taken, until the response is sent
"""

from app.api.middleware.request_context import RequestRecord
from app.errors import QueueFull
from app.memory_budget import MemoryBudget

_LISTED_BYTES = 550
"""Bytes for a label with its probability: objects and text, in the protocol that takes the most.
Measured with 100,000 labels: own API 290, TensorFlow Serving 370, v2 390, its binary form 550."""
_RENDERED_BYTES = 700
"""Bytes for each label of the one image that is being turned into JSON by the own API."""
_NUMBER_BYTES = 100
"""Bytes for a probability without its label: the number and its text."""
_UNCOUNTED_BYTES = 1_000_000
"""Responses up to this size are not counted: the reserve covers them."""

FEWER_LABELS = "Request fewer labels with top_k, or send fewer images at once."


def response_bytes(images: int, listed: int, numbers: int) -> int:
    """Return the most memory that a response takes while it is made.

    Args:
        images: in the request.
        listed: labels that are listed with their probability, for each image.
        numbers: probabilities without a label, for each image.
    """
    each = _LISTED_BYTES * listed + _NUMBER_BYTES * numbers
    return images * each + _RENDERED_BYTES * listed


def take_response(
    budget: MemoryBudget, record: RequestRecord, size: int, advice: str = FEWER_LABELS
) -> None:
    """Take `size` bytes for a response until it is sent.

    Args:
        budget: the memory of all requests.
        record: the request.
        size: bytes of the response.
        advice: a sentence that says what to do if it doesn't fit.

    Raises:
        TooMuchMemory: the service never has so much memory.
        QueueFull: it has not now.
    """
    if size <= _UNCOUNTED_BYTES:
        return
    budget.check_fits(size, "The response", advice)
    if not budget.try_take(size):
        raise QueueFull(
            f"The response needs about {size // 10**6} MB of memory, which other requests hold. "
            f"Try again later. {advice}",
            retry_after_s=1,
        )
    record.at_end.append(lambda: budget.give_back(size))
