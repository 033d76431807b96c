"""`hubel index`: embed photos and write an index in which similar ones are found."""

import tempfile
from dataclasses import dataclass, replace
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
    from collections.abc import Callable
    from typing import IO

    from app.bulk.indexing import Indexing
    from app.cli.skipped import SkippedReport
    from app.runtime.loaded_model import Model
    from app.settings import Settings
    from app.sources.local_files import Found
    from app.sources.plan import Plan
    from app.vector_index import Staging

_SHOWN_ERRORS = 10
_SIDE = 160


@dataclass(frozen=True)
class _Run:
    """The photos of a run, and what embeds them."""

    sources: tuple[str, ...]
    """Absolute."""
    output: Path
    shards: "IO[str]"
    plan: "Plan"
    model: "Model"
    indexing: "Indexing"
    skipped: "SkippedReport"


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
    "--image-column",
    help="Column of Parquet files with the photos, or with their paths.  [default: the only one "
    "that can be it]",
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
    image_column: str | None,
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
    from app.bulk.indexing import Indexing, absolute_sources, root_of
    from app.cli.skipped import SkippedReport
    from app.vector_index import require_output
    from app.vector_index.neighbours import require_faiss

    settings = read_settings(models=models, device=device)
    with (
        expected_errors(),
        tempfile.TemporaryFile("w+", encoding="utf-8") as shards,
        SkippedReport(skipped_file) as skipped,
    ):
        require_faiss()
        require_output(output, add=add)
        plan = _plan(sources, output, shards, skipped, _refuse_skipped(output, skipped_file))
        model = _model(settings, name, version, output if add else None)
        if not plan.photos and not plan.archives:
            raise skipped.no_photos_in(sources)
        indexing = Indexing(
            photo_limits(settings), _SIDE * thumbnails, root_of(sources), image_column
        )
        run = _Run(absolute_sources(sources), output, shards, plan, model, indexing, skipped)
        failed, text = _write(run, add=add)
    click.echo(text)
    if failed:
        raise CheckFailed(f"{failed} photos can't be used, and aren't in the index.")


def _refuse_skipped(output: Path, skipped_file: Path | None) -> "Callable[[Found], None]":
    """Return the check of each listed file: that the list of skipped files doesn't replace it.

    Raises:
        BadParameter: that list can't be written, or would lie in the folders of the index.
    """
    from app.cli.output_file import refuse_listed, require_other_file, require_safe_output
    from app.vector_index import staging_folder

    require_other_file(skipped_file, output)
    require_other_file(skipped_file, staging_folder(output))
    require_safe_output(skipped_file, [], "--skipped")
    return refuse_listed(output=None, skipped=skipped_file)


def _plan(
    sources: tuple[str, ...],
    output: Path,
    shards: "IO[str]",
    skipped: "SkippedReport",
    check: "Callable[[Found], None]",
) -> "Plan":
    """List the sources, but for the folders of the index."""
    from app.sources.plan import Planner
    from app.vector_index import staging_folder

    left_out = frozenset(
        (found.st_dev, found.st_ino)
        for found in (place.stat() for place in (output, staging_folder(output)) if place.is_dir())
    )
    return Planner(shards, skipped.add_entry, check, left_out).plan(sources)


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


def _write(run: _Run, *, add: bool) -> tuple[int, str]:
    """Write the index; return the number of photos that can't be used, and a closing line."""
    from app.bulk.indexing import dimension_of, indexed_model
    from app.vector_index import Staging, open_index, write_index

    output, model = run.output, run.model
    base = open_index(output) if add else None
    if base is not None:
        side = base.manifest.thumbnails
        if run.indexing.thumbnails and not side:
            raise WrongUsage(f"{output} has no thumbnails. Leave --thumbnails out, or index anew.")
        root = base.manifest.root
        run = replace(run, indexing=replace(run.indexing, thumbnails=side, root=root))
    known = base.table.sizes() if base else {}
    identity = indexed_model(model)
    description = {
        "model": identity.model_dump(),
        "sources": run.sources,
        "root": run.indexing.root,
        "files": run.plan.fingerprint,
        "thumbnails": run.indexing.thumbnails,
        "image_column": run.indexing.image_column,
        "base": base.manifest.files[base.manifest.names.photos].sha256 if base else None,
    }
    before = base.manifest if base else None
    del base  # its vectors are in memory
    with Staging(output, dimension_of(model), description) as staging:
        if len(staging):
            click.echo(f"Going on after {len(staging)} photos of the last run.", err=True)
        elif staging.began_anew:
            click.echo("The photos or options aren't those of the last run: begun anew.", err=True)
        failed, is_known = _stage(run, staging, known)
        if not len(staging):
            staging.remove()
            if not failed and not is_known:
                raise run.skipped.no_photos_in(run.sources)
            if before is None:
                raise CheckFailed(f"No photo can be used, of {failed}. No index is written.")
            if failed:
                return failed, f"{output}: {before.count} photos, none of them new."
            return 0, f"{output} has all of these photos: {before.count}."
        new = len(staging)
        manifest = write_index(
            output,
            staging,
            identity,
            run.sources,
            run.indexing.thumbnails,
            root=run.indexing.root,
            add=add,
            report_progress=_report,
        )
    added = f", {new} of them new" if add else ""
    return failed, (
        f"{output}: {manifest.count} photos{added}, by {model.name} version {model.version}."
    )


def _stage(run: _Run, staging: "Staging", known: dict[str, int]) -> tuple[int, bool]:
    """Embed all photos; return how many can't be used, and whether any is known already."""
    from app.bulk.indexing import Known, stage_photos
    from app.bulk.rows import printable
    from app.errors import HubelError
    from app.runtime.bulk import PhotoResult
    from app.sources.entry import Skipped
    from app.sources.plan import read_shards

    failed, is_known = 0, False
    with bulk_engine(run.model) as engine:
        shards = read_shards(run.shards)
        results = stage_photos(shards, run.model, run.indexing, engine, staging, known)
        for each in with_progress_bar(results, run.plan.photos):
            if isinstance(each, Skipped):
                run.skipped.add_entry(each)
            elif isinstance(each, Known):
                is_known = True
            elif isinstance(each, PhotoResult) and isinstance(each.result, HubelError):
                failed += 1
                if failed <= _SHOWN_ERRORS:
                    click.echo(printable(f"{each.path}: {each.result}"), err=True)
    run.skipped.write()
    return failed, is_known


def _report(done: int, total: int) -> None:
    """Show how many photos are in the graph, on a terminal."""
    import sys

    if sys.stderr.isatty():
        click.echo(f"\rlinking photos: {done}/{total}", nl=done == total, err=True)
