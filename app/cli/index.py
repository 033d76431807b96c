"""`hubel index`: embed photos and write an index in which similar ones are found."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, cleanup_on_sigterm, expected_errors
from app.cli.options import (
    DEVICE,
    MODELS,
    bulk_engine,
    photo_limits,
    read_settings,
    skipped_option,
)
from app.cli.progress import with_progress_bar

if TYPE_CHECKING:
    from app.runtime.loaded_model import Model
    from app.settings import Settings
    from app.vector_index import Staging

_SHOWN_ERRORS = 10
_SIDE = 160


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the index. An existing index is replaced once the new one is complete.",
)
@click.option("--add", is_flag=True, help="Add to the index in --output the photos that it lacks.")
@click.option(
    "--thumbnails",
    is_flag=True,
    help=f"Store a picture of each photo, of at most {_SIDE} pixels, so that results can be shown.",
)
@click.option(
    "--models",
    type=MODELS,
    help="Folder of model bundles, or their address on S3 (s3://bucket/models), in addition to the "
    "built-in model.",
)
@click.option("--model", "name", help="Name of the model. Unset: the default model.")
@click.option("--version", type=int, help="Version of the model. Unset: the serving version.")
@click.option("--device", type=DEVICE, help="Device that runs the model.  [default: auto]")
@skipped_option
@cleanup_on_sigterm()
def index(
    sources: tuple[str, ...],
    output: Path,
    add: bool,
    thumbnails: bool,
    models: "Path | str | None",
    name: str | None,
    version: int | None,
    device: str | None,
    skipped_file: Path | None,
) -> None:
    """Write an index of photos, for `hubel serve --index` and POST /api/v1/similar.

    SOURCES are folders, files, patterns, tar or Parquet files, or addresses such as s3://bucket. An
    index works only with the model that made it. A run that was stopped goes on when it is started
    again.
    """
    from app.cli.output_file import require_other_file, require_safe_output
    from app.vector_index import require_output

    settings = read_settings(models=models, device=device)
    with expected_errors():
        from app.vector_index.neighbours import require_faiss

        require_faiss()
        require_output(output, add=add)
        require_other_file(skipped_file, output)
        require_safe_output(skipped_file, [])
        model = _model(settings, name, version, output if add else None)
        failed, text = _write(
            sources, output, model, settings, add=add, thumbnails=thumbnails, skipped=skipped_file
        )
    click.echo(text)
    if failed:
        raise CheckFailed(f"{failed} photos can't be used, and aren't in the index.")


def _model(
    settings: "Settings", name: str | None, version: int | None, add_to: Path | None
) -> "Model":
    """Return the model that embeds: of an index that is added to, the one that made it."""
    from app.runtime.inspection import require_embedding
    from app.runtime.registry_and_device import create_registry
    from app.runtime.served_indexes import model_of
    from app.vector_index import read_manifest

    registry = create_registry(
        settings.models, settings.device, settings.default_model, cache=settings.models_cache
    ).registry
    registry.load_all()
    if add_to is None:
        model = registry.resolve(name, version)
    else:
        manifest = read_manifest(add_to)
        if (name or manifest.model.name, version or manifest.model.version) != (
            manifest.model.name,
            manifest.model.version,
        ):
            raise WrongUsage(
                f"{add_to} was made with model {manifest.model.name!r} version "
                f"{manifest.model.version}. Leave --model and --version out, or make a new index."
            )
        model = model_of(manifest, str(add_to), registry)
    require_embedding(model)
    return model


def _write(
    sources: tuple[str, ...],
    output: Path,
    model: "Model",
    settings: "Settings",
    *,
    add: bool,
    thumbnails: bool,
    skipped: Path | None,
) -> tuple[int, str]:
    """Write the index; return the number of photos that can't be used, and a closing line."""
    from app.bulk.indexing import dimension_of, indexed_model
    from app.vector_index import Staging, open_index, write_index

    base = open_index(output) if add else None
    side = base.manifest.thumbnails if base else _SIDE * thumbnails
    if thumbnails and not side:
        raise WrongUsage(f"{output} has no thumbnails. Leave --thumbnails out, or index anew.")
    known = base.table.sizes() if base else {}
    identity = indexed_model(model)
    description = {
        "model": identity.model_dump(),
        "sources": sources,
        "thumbnails": side,
        "base": base.manifest.files[base.manifest.names.photos].sha256 if base else None,
    }
    before = base.manifest if base else None
    del base  # its vectors are in memory
    with Staging(output, dimension_of(model), description) as staging:
        if len(staging):
            click.echo(f"Going on after {len(staging)} photos of the last run.", err=True)
        failed = _stage(sources, output, model, settings, staging, known, side, skipped)
        if not len(staging):
            if before is not None:
                staging.remove()
                return failed, f"{output} has all of these photos: {before.count}."
            staging.remove()
            raise WrongUsage(f"There are no photos in {', '.join(sources)}. Name their folders.")
        new = len(staging)
        manifest = write_index(
            output, staging, identity, sources, side, add=add, report_progress=_report
        )
    added = f", {new} of them new" if add else ""
    return failed, (
        f"{output}: {manifest.count} photos{added}, by {model.name} version {model.version}."
    )


def _stage(
    sources: tuple[str, ...],
    output: Path,
    model: "Model",
    settings: "Settings",
    staging: "Staging",
    known: dict[str, int],
    side: int,
    skipped_file: Path | None,
) -> int:
    """Embed all photos; return the number of those that can't be used."""
    from app.bulk.indexing import Indexing, root_of, stage_photos
    from app.bulk.rows import printable
    from app.cli.output_file import refuse_listed
    from app.cli.skipped import SkippedReport
    from app.errors import HubelError
    from app.runtime.bulk import PhotoResult
    from app.sources.entry import Skipped
    from app.sources.plan import Planner, read_shards

    failed = 0
    indexing = Indexing(photo_limits(settings), side, root_of(sources))
    left_out = frozenset(
        (found.st_dev, found.st_ino)
        for found in (place.stat() for place in (output, staging.folder) if place.is_dir())
    )
    with (
        SkippedReport(skipped_file) as skipped,
        tempfile.TemporaryFile("w+", encoding="utf-8") as plan,
    ):
        planner = Planner(plan, skipped.add_entry, refuse_listed(skipped_file), left_out)
        planned = planner.plan(sources)
        with bulk_engine(model) as engine:
            results = stage_photos(read_shards(plan), model, indexing, engine, staging, known)
            for each in with_progress_bar(results, planned.photos):
                if isinstance(each, Skipped):
                    skipped.add_entry(each)
                elif isinstance(each, PhotoResult) and isinstance(each.result, HubelError):
                    failed += 1
                    if failed <= _SHOWN_ERRORS:
                        click.echo(printable(f"{each.path}: {each.result}"), err=True)
        skipped.write()
    return failed


def _report(done: int, total: int) -> None:
    """Show how many photos are in the graph, on a terminal."""
    import sys

    if sys.stderr.isatty():
        click.echo(f"\rlinking photos: {done}/{total}", nl=done == total, err=True)
