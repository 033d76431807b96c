"""`hubel classify`: classify photos on disk without a server and write one row for each."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, expected_errors
from app.cli.options import (
    DEVICE,
    MODELS,
    PATH,
    bulk_engine,
    photo_limits,
    read_settings,
    skipped_option,
)
from app.cli.progress import with_progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.bundle import Task
    from app.cli.output import Row

_TOP_K = 3


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option(
    "--models",
    type=MODELS,
    help="Folder of model bundles, or their address on S3 (s3://bucket/models), in addition to the "
    "built-in model.",
)
@click.option("--model", "name", help="Name of the model. Unset: the default model.")
@click.option("--version", type=int, help="Version of the model. Unset: the serving version.")
@click.option("--device", type=DEVICE, help="Device that runs the model.  [default: auto]")
@click.option(
    "--top-k",
    type=click.IntRange(1),
    help="Number of predictions for each photo.  [default: 3; of a multi-label model, all labels]",
)
@click.option(
    "--format",
    "row_format",
    type=click.Choice(["table", "jsonl", "csv", "parquet"]),
    default="table",
    show_default=True,
    help="Format of the rows. Parquet needs --output.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File for the rows. Unset: standard output.",
)
@skipped_option
def classify(
    paths: tuple[Path, ...],
    models: "Path | str | None",
    name: str | None,
    version: int | None,
    device: str | None,
    top_k: int | None,
    row_format: str,
    output: Path | None,
    skipped_file: Path | None,
) -> None:
    """Classify photos and folders of photos on this machine, without a server.

    The row of a photo without a result holds its error; the exit code is then 1.
    """
    write_parquet = _parquet_writer(output) if row_format == "parquet" else None
    from app.cli.output import write_rows
    from app.cli.output_file import open_output, require_safe_output
    from app.cli.skipped import report_skipped
    from app.runtime.bulk import classify_files, find_photos
    from app.runtime.classifier import Query
    from app.runtime.registry_and_device import create_registry

    settings = read_settings(models=models, device=device)
    with expected_errors():
        found = [find_photos(path) for path in paths]
        photos = [photo for some, _ in found for photo in some]
        skipped = [path for _, some in found for path in some]
        require_safe_output(output, [*paths, *photos])
        require_safe_output(skipped_file, [*paths, *photos, *skipped])
    if not photos:
        others = f" ({len(skipped)} files are no photos)" if skipped else ""
        raise WrongUsage(
            f"There are no photos in {', '.join(map(str, paths))}{others}. "
            "Name photos or their folders."
        )
    with expected_errors():
        registry = create_registry(
            settings.models,
            settings.device,
            settings.default_model,
            cache=settings.models_cache,
        ).registry
        registry.load_all()
        model = registry.resolve(name, version)
        task = model.manifest.task
        listed = top_k or (len(model.manifest.labels) if task == "multi_label" else _TOP_K)
        with bulk_engine(model) as engine:
            results = classify_files(photos, model, Query(listed), photo_limits(settings), engine)
            results = with_progress_bar(results, len(photos), rows_on_stdout=output is None)
            if write_parquet is not None and output is not None:
                failed = write_parquet(results, output, task)
            else:
                with open_output(output) as out:
                    failed = write_rows(results, row_format, listed, out, task)
        report_skipped(skipped, skipped_file)
    if failed:
        raise CheckFailed(
            f"{failed} of {len(photos)} photos have no result. Their rows hold the errors."
        )


def _parquet_writer(output: Path | None) -> "Callable[[Iterable[Row], Path, Task], int]":
    """Return the function that writes Parquet.

    Raises:
        WrongUsage: --output is unset, or the extra `parquet` is not installed.
    """
    if output is None:
        raise WrongUsage("Parquet can't be written to standard output. Name a file with --output.")
    try:
        from app.cli.parquet_output import write_parquet
    except ImportError as err:
        raise WrongUsage(
            f"Parquet needs {err.name}. Install the `parquet` extra, or choose another --format."
        ) from err
    return write_parquet
