"""Workers that fail, for the processes of a test's cluster."""

from collections.abc import Iterator

from app.errors import BadParameter


class RefusingNode:
    """A node that can't make a worker."""

    def __call__(self, assigned: dict[str, float]) -> "FailingWorker":
        """Raise."""
        raise BadParameter("This node has no model.")


class FailingWorker:
    """A worker that fails at its second item; also what makes it."""

    def __call__(self, assigned: dict[str, float]) -> "FailingWorker":
        """Return a worker."""
        return self

    def results_of(self, item: str) -> Iterator[list[str]]:
        """Yield the item, or raise."""
        if item == "second":
            raise BadParameter("This node has no second.")
        yield [item]
