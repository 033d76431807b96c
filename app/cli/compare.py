"""`hubel compare`: compare a new version of a model with the serving one; print the verdict."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import CheckFailed, cleanup_on_sigterm, expected_errors
from app.cli.installation import train_extra
from app.cli.options import FOLDER, FiniteRange, labels_from_option

if TYPE_CHECKING:
    from app.dataset.label_table import Form
    from app.jobs.comparison import Comparison


@click.command()
@click.argument("serving", type=FOLDER)
@click.argument("candidate", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for a page with the labels and pictures of the disagreements. Unset: no page.",
)
@labels_from_option
@click.option(
    "--unseen",
    is_flag=True,
    help="Take all photos of DATA as new to both bundles, also if these don't record what they "
    "learnt from.",
)
@click.option(
    "--margin",
    type=FiniteRange(0, 0.5, min_open=True),
    help="Loss of accuracy that counts as not worse.  [default: 0.05]",
)
@cleanup_on_sigterm()
def compare(
    serving: Path,
    candidate: Path,
    data: Path,
    as_json: bool,
    report: Path | None,
    labels_from: "Form | None",
    unseen: bool,
    margin: float | None,
) -> None:
    """Compare CANDIDATE, a new version, with SERVING on the photos of DATA that are new to both.

    DATA is a folder as hubel train reads it, such as the one that CANDIDATE was trained on: what a
    version learnt from is left out, or predicted by last layers that were fitted without it. The
    exit code is 0 if CANDIDATE is better or not worse, and 1 otherwise.
    """
    with train_extra("Comparing"):
        from training.comparison import compare as compare_bundles
        from training.comparison.rule import MARGIN

    with expected_errors():
        result = compare_bundles(
            serving,
            candidate,
            data,
            labels_from=labels_from,
            report=report,
            unseen=unseen,
            margin=margin or MARGIN,
            report_progress=lambda line: click.echo(line, err=True),
        )
    click.echo(result.model_dump_json(indent=1) if as_json else _table(result))
    if result.verdict not in ("better", "not_worse"):
        raise CheckFailed(f"Version {result.candidate.version} isn't promoted by the rule.")


def _table(result: "Comparison") -> str:
    serving, candidate = result.serving, result.candidate
    lines = [f"{result.verdict.replace('_', ' ')}: {result.reason}"]
    if serving.accuracy is None or candidate.accuracy is None:
        return "\n".join(lines)
    tested, fitted = result.sources.test, result.sources.cross_fitted
    lines += [
        f"photos: {tested} new to both versions, {fitted} by cross-fitting",
        "",
        f"{'version':>8}  {'right' if result.measure == 'accuracy' else 'F1':>7}  ECE    Brier",
        *(
            f"{each.version:>8}  {_percent(each.accuracy)}  {each.ece:.3f}  {each.brier:.3f}"
            for each in (serving, candidate)
        ),
        "",
        f"{'photos':>8}  {serving.version:>7}  {candidate.version:>7}  label",
        *(
            f"{row.photos:>8}  {_percent(row.serving)}  {_percent(row.candidate)}  {row.label}"
            f"{'  (lost)' if row.is_lost else ''}"
            for row in result.labels
        ),
        *(
            f"{row.photos:>8}  {'new':>7}  {_percent(row.candidate)}  {row.label}"
            for row in result.new_labels
        ),
    ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return f"{'-':>7}" if share is None else f"{100 * share:>6.1f}%"
