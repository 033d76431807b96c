"""The stages of a photo are timed on the engine's thread, whatever becomes of it."""

import gc
import weakref

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.api.tracing.traced_turn import TracedJob
from app.errors import ClientGone
from app.memory_budget import MemoryBudget
from app.runtime.engine import Engine, Turn
from app.runtime.engine.job import PutBack
from app.vision import Work


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


def test_the_request_s_context_is_that_of_the_thread_during_its_job(tracer, exporter):
    span = tracer.start_span("request")
    seen = []

    def job(turn):
        seen.append(trace.get_current_span())
        turn.check("resize")

    with Engine(threads=1, deadline_s=30) as engine:
        traced = TracedJob(job, tracer, trace.set_span_in_context(span), 0)
        engine.submit(traced)[0].result(30)
        (after,) = engine.submit(lambda turn: trace.get_current_span())
        assert after.result(30) is trace.INVALID_SPAN
    assert seen == [span]
    assert [each.name for each in exporter.get_finished_spans()] == ["queue", "decode", "resize"]


def test_a_job_that_is_put_back_has_the_stages_of_its_last_turn_alone(tracer, exporter):
    class NoRoom(Turn):
        def begin(self, work):
            raise PutBack(work)

    def job(turn):
        turn.begin(Work(0, 0))

    traced = TracedJob(job, tracer, Context(), 0)
    with pytest.raises(PutBack):
        traced(NoRoom())
    assert not exporter.get_finished_spans()
    traced(Turn())
    assert [each.name for each in exporter.get_finished_spans()] == ["queue", "decode"]


def test_a_job_that_never_began_has_waited(tracer, exporter):
    traced = TracedJob(lambda turn: None, tracer, Context(), 0)
    traced.end()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.attributes["error.type"]) == ("queue", "not_begun")


def test_a_job_that_runs_when_its_request_ends_has_not_waited(tracer, exporter):
    jobs = []

    def job(turn):
        jobs[0].end()

    jobs.append(TracedJob(job, tracer, Context(), 0))
    jobs[0](Turn())
    spans = exporter.get_finished_spans()
    assert [each.name for each in spans] == ["queue", "decode"]
    assert "error.type" not in spans[0].attributes


def test_a_stage_that_does_not_begin_leaves_the_error_in_the_one_before(tracer, exporter):
    class Left(Turn):
        def check(self, stage=None):
            raise ClientGone("left")

    with pytest.raises(ClientGone):
        TracedJob(lambda turn: turn.check("resize"), tracer, Context(), 0)(Left())
    queue, decode = exporter.get_finished_spans()
    assert (decode.name, decode.attributes["error.type"]) == ("decode", ClientGone.code)
    assert queue.status.is_unset


def test_a_job_that_failed_keeps_no_photo(tracer):
    class Photo:
        pass

    def fail(photo, turn):
        raise ValueError("broken")

    photo = Photo()
    kept = weakref.ref(photo)
    memory = MemoryBudget(1 << 20)
    gc.disable()
    try:
        with Engine(threads=1, deadline_s=30, memory=memory) as engine:
            job = TracedJob(lambda turn, photo=photo: fail(photo, turn), tracer, Context(), 0)
            (future,) = engine.submit(job)
            assert isinstance(future.exception(30), ValueError)
            del job, photo, future
            engine.submit(lambda turn: None)[0].result(30)
            assert kept() is None
    finally:
        gc.enable()
