"""`hubel job`: the process of one job, which the service starts; its options are in work/plan.json.

plan.json -> limits on itself -> photos into one folder -> `hubel train` -> comparison
          -> result.json; progress and problems as JSON lines on standard output
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import expected_errors
from app.cli.options import FOLDER
from app.cli.train import train as train_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.jobs.comparison import Comparison
    from app.jobs.import_options import ImportRequest
    from app.jobs.job import TrainRequest
    from app.jobs.plan import Plan


@click.command(hidden=True)
@click.argument("folder", type=FOLDER)
def job(folder: Path) -> None:
    """Run a job of the service, which starts this command."""
    from app.jobs import own_limits
    from app.jobs.job_files import PLAN
    from app.jobs.plan import Plan

    own_limits.end_with_service(os.getppid())
    own_limits.lower_priority()
    work = folder / "work"
    plan = Plan.model_validate_json((work / PLAN).read_bytes())
    if plan.memory_bytes is not None:
        own_limits.limit_memory(plan.memory_bytes)
    try:
        _run(plan, work)
    except click.ClickException as err:
        cause = err.__cause__
        _problem(getattr(cause, "code", "job_failed"), err.format_message())
        raise SystemExit(err.exit_code) from err


def _run(plan: "Plan", work: Path) -> None:
    from app import bundle as bundles
    from app.jobs.job_files import BUNDLE, PHOTOS

    if plan.import_ is not None:
        _import(plan.import_, plan, work)
        return
    photos = work / PHOTOS
    with expected_errors():
        if not photos.exists():
            _step("collecting photos")
            _collect(plan, photos)
    if not (work / BUNDLE / bundles.MANIFEST).exists():  # an interrupted run may have made it
        train_command.main(_arguments(plan, work), "hubel train", standalone_mode=False)
    comparison = _compare(plan, work / BUNDLE, photos)
    _leave_result(work, sum(1 for _ in photos.rglob("photos/*")), comparison)


def _import(request: "ImportRequest", plan: "Plan", work: Path) -> None:
    """Make a bundle of an ONNX file."""
    from app import bundle as bundles
    from app.cli.import_ import import_ as import_command
    from app.jobs.job_files import BUNDLE, LABELS, UPLOAD

    _step("importing")
    (work / LABELS).write_text(json.dumps(request.labels), encoding="utf-8")
    arguments = [str(work / UPLOAD), "--labels", str(work / LABELS), *request.arguments()]
    arguments += ["--output", str(work / BUNDLE), "--name", plan.model]
    arguments += ["--version", str(plan.version)]
    if not (work / BUNDLE / bundles.MANIFEST).exists():
        import_command.main(arguments, "hubel import", standalone_mode=False)
    _leave_result(work, 0, None)


def _leave_result(work: Path, photos: int, comparison: "Comparison | None") -> None:
    from app import bundle as bundles
    from app.jobs.job_files import BUNDLE, RESULT
    from app.jobs.plan import Result

    metrics = bundles.load(work / BUNDLE).manifest.metrics.get("fp32")
    result = Result(accuracy=getattr(metrics, "top1", None), photos=photos, comparison=comparison)
    beside = work / f".{RESULT}.new"
    beside.write_text(result.model_dump_json(), encoding="utf-8")
    os.replace(beside, work / RESULT)


def _arguments(plan: "Plan", work: Path) -> list[str]:
    from app.jobs.job_files import BUNDLE, PHOTOS

    train, output = _train(plan), work / BUNDLE
    arguments = [str(work / PHOTOS), "--output", str(output), "--progress", "json"]
    arguments += ["--name", train.model, "--version", str(plan.version), "--recipe", train.recipe]
    if train.recipe != "head":
        arguments += ["--device", "cpu"]
        checkpoint = output.with_name(f".{output.name}.checkpoint")
        if plan.resume and checkpoint.is_dir():
            arguments.append("--resume")
    return [*arguments, *train.options.arguments()]


def _train(plan: "Plan") -> "TrainRequest":
    assert plan.train is not None
    return plan.train


def _collect(plan: "Plan", folder: Path) -> None:
    """Put the photos of the dataset and of the captures into one folder."""
    from itertools import chain

    from app.jobs import photos

    train = _train(plan)
    sources = []
    if train.dataset is not None:
        named = photos.dataset_folder(plan.data_dir, train.dataset)
        sources.append(photos.photos_of_dataset(named))
    if train.captures:
        sources.append(photos.photos_of_captures(plan.data_dir, train.model))
    recorded = _recorded_parts(plan)
    photos.collect(chain(*sources), folder, recorded, train.options.min_photos)


def _recorded_parts(plan: "Plan") -> "Mapping[str, str]":
    """Return which photos the serving version knows, and their parts."""
    from app import bundle as bundles
    from app.bundle.photo_record import photo_record

    if plan.serving is None:
        return {}
    return photo_record(bundles.load(plan.serving)) or {}


def _compare(plan: "Plan", candidate: Path, photos: Path) -> "Comparison | None":
    """Compare the new version with the serving one; None: there is none."""
    from training.comparison import compare

    if plan.serving is None:
        return None
    _step("comparing")
    with expected_errors():
        return compare(plan.serving, candidate, photos, report_progress=_text)


def _step(step: str) -> None:
    click.echo(json.dumps({"type": "step", "step": step}))


def _text(text: str) -> None:
    click.echo(json.dumps({"type": "text", "text": text}))


def _problem(code: str, detail: str) -> None:
    problem = {"code": code, "detail": detail}
    click.echo(json.dumps({"type": "problem", "problem": problem}))
