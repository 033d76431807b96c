"""`hubel evaluate`: measure a bundle on labelled photos; print the figures and write a report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import CheckFailed, cleanup_on_sigterm, expected_errors
from app.cli.installation import train_extra
from app.cli.options import (
    DEVICE,
    FOLDER,
    PRECISION,
    bulk_engine,
    labels_from_option,
    photo_limits,
    read_settings,
    skipped_option,
)
from app.cli.progress import with_progress_bar

if TYPE_CHECKING:
    from app.bundle import Precision
    from app.dataset.label_table import Form


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option(
    "--precision",
    type=PRECISION,
    help="Precision to measure. Unset: the one that the service selects here.",
)
@click.option("--device", type=DEVICE, help="Device that runs the model.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for a report with pictures of the mistakes. Unset: no report.",
)
@labels_from_option
@skipped_option
@cleanup_on_sigterm()
def evaluate(
    bundle: Path,
    data: Path,
    precision: "Precision | None",
    device: str | None,
    as_json: bool,
    report: Path | None,
    labels_from: "Form | None",
    skipped_file: Path | None,
) -> None:
    """Measure BUNDLE on DATA, a folder with one folder of photos per label or label id.

    A folder that `hubel train` reads can be measured too: its test or val part, or a table of
    labels. For a multi-label model the table may give a photo several labels, or none.
    """
    from dataclasses import asdict

    from app.cli.output import evaluation_table
    from app.cli.output_file import require_other_file, require_safe_output
    from app.cli.skipped import report_skipped
    from app.runtime.evaluation import measure as evaluation
    from app.runtime.evaluation.labelled_folder import read_folder
    from app.runtime.loaded_model import load_model
    from app.runtime.session import choose_device

    settings = read_settings(device=device)
    limits = photo_limits(settings)
    if report is not None:
        with train_extra("A report"):
            from training.report import evaluation_report
    with expected_errors():
        require_other_file(skipped_file, report and report / "index.html")
        model = load_model(bundle, choose_device(settings.device).device, precision)
        folder = read_folder(data, model.manifest.labels, labels_from, model.manifest.task)
        photos = folder.photos
        others = (*folder.skipped, *data.rglob("*.csv"), *bundle.rglob("*"))
        require_safe_output(skipped_file, [*(each.path for each in photos), *others], "--skipped")
        with bulk_engine(model) as engine:
            measured = evaluation.measure(
                model, photos, limits, engine, lambda items: with_progress_bar(items, len(photos))
            )
        report_skipped(folder.skipped, skipped_file)
        if report is not None:
            evaluation_report.write(model, measured, data, limits, report)
    result = evaluation.figures(model, measured)
    click.echo(json.dumps(asdict(result), indent=1) if as_json else evaluation_table(result))
    if result.failed:
        raise CheckFailed(
            f"{len(result.failed)} photos have no result. The figures leave them out."
        )
