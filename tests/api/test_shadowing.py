"""The memory of a shadow's pixels: taken apart from the response's, and never required."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from app.api.middleware.request_context import RequestRecord
from app.api.shadowing import take_pixels
from app.memory_budget import MemoryBudget


@dataclass(frozen=True)
class FakeShadow:
    kept_bytes: int
    is_selected: bool = True
    dropped: list = field(default_factory=list)

    @property
    def comparison(self):
        return SimpleNamespace(drop=self.dropped.append)


def test_the_pixels_are_held_until_the_response_is_sent():
    service = SimpleNamespace(memory_budget=MemoryBudget(1000))
    record = RequestRecord("id")
    shadow = FakeShadow(300)
    assert take_pixels(service, record, shadow, 3) is shadow
    assert service.memory_budget.held_bytes == 900
    record.end()
    assert service.memory_budget.held_bytes == 0


def test_without_memory_the_shadow_does_not_run_and_nothing_is_refused():
    service = SimpleNamespace(memory_budget=MemoryBudget(1000))
    shadow = FakeShadow(300)
    assert not take_pixels(service, RequestRecord("id"), shadow, 4).is_selected
    assert shadow.dropped == ["memory"] * 4
    assert service.memory_budget.held_bytes == 0


def test_every_end_of_a_request_is_called_even_if_one_fails(caplog):
    def fail():
        raise RuntimeError("can't start new thread")

    called = []
    record = RequestRecord("id")
    record.at_end += [fail, lambda: called.append(1)]
    record.end()
    assert called == [1]
    assert "its end failed" in caplog.text
