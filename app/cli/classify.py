"""`hubel classify`: classify photos of any source without a server, and write one row for each."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, cleanup_on_sigterm, expected_errors
from app.cli.options import (
    DEVICE,
    MODELS,
    bulk_engine,
    photo_limits,
    read_settings,
    skipped_option,
)
from app.cli.progress import photo_progress
from app.cli.ray_options import workers_on_ray, workers_options

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from app.bulk.classification import Classification, Result
    from app.cli.skipped import SkippedReport
    from app.on_ray.data_map import Workers
    from app.runtime.loaded_model import Model
    from app.settings import Settings
    from app.sources.plan import Plan
    from app.sources.shard import Shard

_TOP_K = 3


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
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
@click.option("--embedding", is_flag=True, help="Add the embedding to each row.")
@click.option(
    "--image-column",
    help="Column of Parquet files with the photos, or with their paths.  [default: the only one "
    "that can be it]",
)
@click.option(
    "--format",
    "row_format",
    type=click.Choice(["table", "jsonl", "csv", "parquet"]),
    help="Format of the rows. Parquet needs --output.  [default: by the suffix of --output; jsonl "
    "for a folder, table on standard output]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File for the rows, with the suffix .jsonl, .csv or .parquet; any other name is a folder "
    "of parts, and the same command goes on where it ended. Unset: standard output.",
)
@skipped_option
@workers_options("classifies")
@cleanup_on_sigterm()
def classify(
    sources: tuple[str, ...],
    models: "Path | str | None",
    name: str | None,
    version: int | None,
    device: str | None,
    top_k: int | None,
    embedding: bool,
    image_column: str | None,
    row_format: str | None,
    output: Path | None,
    skipped_file: Path | None,
    engine: str,
    workers: tuple[int, int] | None,
    worker_cores: int | None,
) -> None:
    """Classify photos without a server, and write a row for each.

    A SOURCE is a photo, a folder, a tar file (such as a shard of WebDataset), a Parquet file with
    photos or their paths, a pattern ('photos/**/*.jpg', 'shard-{000..127}.tar'), or an address that
    begins with s3://, gs:// or https://.

    The row of a photo without a result holds its error; the exit code is then 1.
    """
    from app.bulk.text_rows import Columns
    from app.cli.bulk_output import BulkOutput
    from app.cli.output_file import refuse_listed, require_other_file, require_safe_output
    from app.cli.skipped import SkippedReport

    settings = read_settings(models=models, device=device)
    on_ray = workers_on_ray(engine, workers, worker_cores)
    with (
        expected_errors(),
        BulkOutput(output, row_format) as rows,
        SkippedReport(skipped_file) as skipped,
    ):
        require_other_file(skipped_file, output)
        require_safe_output(skipped_file, [], "--skipped")
        on_skipped = skipped.add_entry
        plan = rows.plan(sources, on_skipped, refuse_listed(output=output, skipped=skipped_file))
        _require_photos(plan, sources, skipped)
        model = _load_model(settings, name, version, embedding=embedding)
        work = _classification(model, settings, top_k, embedding, image_column)
        done = rows.begin(_record(model, work, sources), plan, on_skipped)
        columns = Columns(work.top_k, model.manifest.task, embedding)
        length = None if plan.archives else plan.photos
        with (
            _classifier(settings, model, work, on_ray) as results_of,
            photo_progress(length, done.rows, rows_on_stdout=output is None) as on_row,
        ):
            results = results_of(rows.shards())
            if not done.rows:
                results = _require_rows(results, sources, skipped)
            done += rows.write(results, columns, on_skipped, on_row)
        skipped.write()
    if done.failed:
        raise CheckFailed(
            f"{done.failed} of {done.rows} photos have no result. Their rows hold the errors."
        )


@contextmanager
def _classifier(
    settings: "Settings", model: "Model", work: "Classification", on_ray: "Workers | None"
) -> "Generator[Callable[[Iterable[Shard]], Iterator[Result]], None, None]":
    """Yield the function that classifies shards: in this process, or by workers on Ray."""
    if on_ray is None:
        from app.bulk.classification import results_of

        with bulk_engine(model) as engine:
            yield lambda shards: results_of(shards, model, work, engine)
        return
    from app.on_ray.bulk import workers_on_ray as on_cluster

    with on_cluster(settings, model, work, on_ray) as classify_shards:
        yield classify_shards


def _require_rows(
    results: "Iterator[Result]", sources: tuple[str, ...], skipped: "SkippedReport"
) -> "Iterator[Result]":
    """Yield the results; reject sources without photos before the output is replaced."""
    from app.runtime.bulk import PhotoResult

    is_empty = True
    for result in results:
        is_empty = is_empty and not isinstance(result, PhotoResult)
        yield result
    if is_empty:
        skipped.write()
        raise skipped.no_photos_in(sources)


def _require_photos(plan: "Plan", sources: tuple[str, ...], skipped: "SkippedReport") -> None:
    if not plan.photos and not plan.archives:
        raise skipped.no_photos_in(sources)


def _load_model(
    settings: "Settings", name: str | None, version: int | None, *, embedding: bool
) -> "Model":
    from app.runtime.inspection import require_embedding
    from app.runtime.registry_and_device import create_registry

    registry = create_registry(
        settings.models, settings.device, settings.default_model, cache=settings.models_cache
    ).registry
    registry.load_all()
    model = registry.resolve(name, version)
    if embedding:
        require_embedding(model)
    return model


def _classification(
    model: "Model",
    settings: "Settings",
    top_k: int | None,
    embedding: bool,
    image_column: str | None,
) -> "Classification":
    from app.bulk.classification import Classification

    labels = len(model.manifest.labels)
    top_k = top_k or (labels if model.manifest.task == "multi_label" else _TOP_K)
    return Classification(top_k, photo_limits(settings), embedding, image_column)


def _record(model: "Model", work: "Classification", sources: tuple[str, ...]) -> dict[str, Any]:
    """Return what the rows of a run depend on."""
    import hashlib

    manifest = model.manifest.model_dump_json().encode()
    return {
        "model": model.name,
        "version": model.version,
        "precision": model.session.precision,
        "bundle": hashlib.sha256(manifest).hexdigest(),
        "top_k": work.top_k,
        "embedding": work.embedding,
        "image_column": work.image_column,
        "max_image_bytes": work.limits.max_bytes,
        "max_pixels": work.limits.max_pixels,
        "max_side": work.limits.max_side,
        "sources": [os.fsencode(source).decode(errors="replace") for source in sources],
    }
