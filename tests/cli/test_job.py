"""`hubel job`: photos in one folder, `hubel train`, the comparison, result.json."""

import json
import sys

import click
import pytest

from app.errors import BundleMismatch
from app.jobs.comparison import Comparison, VersionFigures
from app.jobs.job import TrainRequest
from app.jobs.plan import Plan, Result


@pytest.fixture
def begin(tmp_path, hubel, make_bundle, monkeypatch):
    """Return what runs a job with a training that takes no time, and its lines."""
    for name in ("end_with_service", "lower_priority", "limit_memory"):
        monkeypatch.setattr(f"app.jobs.own_limits.{name}", lambda *_: None)
    for label in ("red", "blue"):
        folder = tmp_path / "datasets" / "colours" / label
        folder.mkdir(parents=True)
        for number in range(9):
            (folder / f"{number}.jpg").write_bytes(b"%s %d" % (label.encode(), number))
    work = tmp_path / "jobs" / "one" / "work"
    calls = []

    class Train:
        error = None

        def main(self, arguments, *_, **__):
            calls.append(arguments)
            if self.error:
                raise self.error
            make_bundle(folder=work / "bundle", version=4)

    train = Train()
    monkeypatch.setattr(sys.modules["app.cli.job"], "train_command", train)

    def run(serving=None, *, resume=False, error=None, **train_request):
        train.error = error
        work.mkdir(parents=True, exist_ok=True)
        request = TrainRequest(dataset="colours", model="colours", **train_request)
        plan = Plan(
            train=request, data_dir=tmp_path, version=4, serving=serving, resume=resume
        ).model_dump_json()
        (work / "plan.json").write_text(plan)
        done = hubel("job", work.parent)
        return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]

    run.work, run.calls = work, calls
    return run


def result(work):
    return Result.model_validate_json((work / "result.json").read_bytes())


def test_a_first_version_is_trained_and_compared_with_nothing(begin):
    code, lines = begin(options={"quality": "best"})
    assert (code, lines) == (0, [{"type": "step", "step": "collecting photos"}])
    (arguments,) = begin.calls
    assert arguments[0] == str(begin.work / "photos")
    assert " ".join(arguments).endswith(
        "--progress json --name colours --version 4 --recipe head --quality best"
    )
    assert (begin.work / "photos" / "train" / "labels.csv").is_file()
    made = result(begin.work)
    assert (made.accuracy, made.photos, made.comparison) == (1.0, 18, None)


def test_a_later_version_is_compared_and_a_finished_one_isn_t_trained_again(
    begin, make_bundle, monkeypatch
):
    serving = make_bundle().folder
    seen = []

    def compare(*folders, report_progress):
        seen.append(folders)
        report_progress("12 photos")
        if len(seen) == 1:
            raise BundleMismatch("It is damaged.")
        figures = VersionFigures(version=1)
        return Comparison(
            verdict="better", reason="So.", rule="R.", serving=figures, candidate=figures
        )

    monkeypatch.setattr("training.comparison.compare", compare)
    code, lines = begin(serving)
    assert code == 1
    problem = {"code": "bundle_mismatch", "detail": "It is damaged."}
    assert lines[-1] == {"type": "problem", "problem": problem}
    assert lines[-3:-1] == [
        {"type": "step", "step": "comparing"},
        {"type": "text", "text": "12 photos"},
    ]
    code, lines = begin(serving, resume=True)
    assert (code, len(begin.calls)) == (0, 1)
    assert seen[1] == (serving, begin.work / "bundle", begin.work / "photos")
    assert result(begin.work).comparison.verdict == "better"


def test_a_checkpoint_is_continued(begin):
    (begin.work / ".bundle.checkpoint").mkdir(parents=True)
    begin(resume=True, recipe="scratch", options={"epochs": 2})
    assert " ".join(begin.calls[0]).endswith("--device cpu --resume --epochs 2")


def test_the_error_of_training_is_the_problem(begin):
    code, lines = begin(error=click.ClickException("Too few photos. Add some."))
    assert code == 1
    assert lines[-1]["problem"] == {"code": "job_failed", "detail": "Too few photos. Add some."}
    assert not (begin.work / "result.json").exists()
