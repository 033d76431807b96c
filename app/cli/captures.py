"""`hubel captures`: list, export, delete and prune the photos that a service keeps."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import WrongUsage, cleanup_on_sigterm, expected_errors
from app.cli.options import FOLDER, FiniteRange, read_settings

if TYPE_CHECKING:
    from app.captures import Store

LIMIT = click.IntRange(0, 2**62)
DAYS = FiniteRange(0, 36_500)

data_dir_option = click.option(
    "--data-dir", type=FOLDER, help="Folder of the photos.  [default: HUBEL_DATA_DIR]"
)
model_option = click.option("--model", help="Only the photos that this model saw.")


@click.group()
def captures() -> None:
    """List, export, delete and prune the photos that a service keeps.

    The service may run meanwhile.
    """


@captures.command("list")
@model_option
@click.option(
    "--labelled/--unlabelled", default=None, help="Only photos with a label, or without one."
)
@click.option(
    "--count",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@data_dir_option
def list_(model: str | None, labelled: bool | None, count: int, data_dir: Path | None) -> None:
    """List the photos, the newest first: id, time, model, decision, prediction and labels."""
    from app.captures import Filter, database
    from app.captures.rows import page_of

    with expected_errors():
        store = _store(data_dir)
        with database.reading(store.folder) as connection:
            found, more = page_of(
                connection, Filter(model=model, labelled=labelled), "newest", None, count
            )
    for each in found:
        time = datetime.fromtimestamp(each.captured_ms / 1e3, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        first = each.predictions[0]
        if each.labels is None:
            said = "wrong" if each.wrong else "-"
        else:
            said = "; ".join(each.labels) or "none of the labels"
        click.echo(
            f"{each.id}\t{time}\t{each.model}/{each.version}\t{each.decision or '-'}\t"
            f"{first.label} {first.probability:.2f}\t{said}"
        )
    if more is not None:
        click.echo(f"There are more; list them with a larger --count than {count}.", err=True)


@captures.command()
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@model_option
@data_dir_option
@cleanup_on_sigterm()
def export(output: Path, model: str | None, data_dir: Path | None) -> None:
    """Write the labelled photos to the new folder OUTPUT, which `hubel train` reads.

    Photos with one label each become a folder for each label. If some have several or none, they
    become one folder with labels.csv.
    """
    from app.captures.export import export as write

    with expected_errors():
        exported = write(_store(data_dir), output, model)
    for label, count in sorted(exported.photos.items()):
        click.echo(f"{count:6}  {label or '(none of the labels)'}")
    for count, what in (
        (exported.unlabelled, "have no label"),
        (exported.wrong, "were called wrong, without a label"),
        (exported.missing, "have lost their file"),
    ):
        if count:
            click.echo(f"{count} photos are left out: they {what}.", err=True)


@captures.command()
@click.argument("ids", type=click.IntRange(1, 2**63 - 1), nargs=-1, required=True)
@data_dir_option
def delete(ids: tuple[int, ...], data_dir: Path | None) -> None:
    """Delete the photos with these IDS, and their files."""
    with expected_errors():
        deleted = len(_store(data_dir).delete(ids))
    click.echo(f"deleted {deleted}")
    if deleted < len(set(ids)):
        click.echo(f"{len(set(ids)) - deleted} ids don't exist.", err=True)


@captures.command()
@click.option(
    "--max-bytes", type=click.IntRange(0, 2**62), help="[default: HUBEL_CAPTURE_MAX_BYTES]"
)
@click.option(
    "--max-photos", type=click.IntRange(0, 2**62), help="[default: HUBEL_CAPTURE_MAX_PHOTOS]"
)
@click.option("--max-days", type=DAYS, help="[default: HUBEL_CAPTURE_MAX_DAYS]")
@data_dir_option
def prune(
    max_bytes: int | None, max_photos: int | None, max_days: float | None, data_dir: Path | None
) -> None:
    """Remove photos without a label until the others are within the limits."""
    from app.captures import StoreLimits

    settings = read_settings()

    def selected(value: float | None, default: float) -> float:
        return default if value is None else value

    limits = StoreLimits(
        int(selected(max_bytes, settings.capture_max_bytes)),
        int(selected(max_photos, settings.capture_max_photos)),
        selected(max_days, settings.capture_max_days),
    )
    with expected_errors():
        store = _store(data_dir)
        removed = store.prune(limits)
        left = store.totals()
    click.echo(f"removed {removed}; {left.photos} photos with {left.bytes:,} bytes are left")


def _store(data_dir: Path | None) -> "Store":
    """Return the store of the option, or of the settings.

    Raises:
        WrongUsage: neither names a folder, or it holds no photos.
    """
    from app.captures import Store
    from app.captures.store import FOLDER as NAME

    selected = data_dir or read_settings().data_dir
    if selected is None:
        raise WrongUsage("No folder is named. Give --data-dir, or set HUBEL_DATA_DIR.")
    if not (selected / NAME).is_dir():
        raise WrongUsage(f"No service has kept photos in {selected} yet.")
    return Store(selected)
