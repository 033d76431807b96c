"""The progress of steps, for a program that follows the run."""

from training.progress import StepReport, reporting_steps, with_progress


def test_each_step_is_reported_from_its_beginning_to_its_end():
    seen = []
    with reporting_steps(lambda *step: seen.append(step[:3])):
        assert list(with_progress(iter("abc"), 3, "reading")) == ["a", "b", "c"]
        resumed = StepReport("training", 10)
        resumed.update(6)
        resumed.update(10)
    assert (seen[0], seen[-3]) == (("reading", 0, 3), ("reading", 3, 3))
    assert seen[-2:] == [("training", 6, 10), ("training", 10, 10)]


def test_nothing_is_reported_otherwise():
    report = StepReport("reading", 3)
    report.update(1)
    assert not report.is_followed


def test_the_time_left_is_that_of_what_this_run_has_done():
    left = []
    with reporting_steps(lambda *step: left.append(step[3])):
        report = StepReport("training", 4)
        for done in (2, 3, 4):
            report._reported -= 1
            report.update(done)
    assert left[0] is None
    assert left[2] == 0
