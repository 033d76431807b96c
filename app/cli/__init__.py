"""`hubel …`: thin commands; what is heavy is imported inside them.

Exit codes: 0 done, 1 a failed check (or photos that can't be used), 2 wrong usage or input.
Errors are one sentence on standard error.
"""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app import __version__
from app.import_command import import_
from app.terminal import (
    Refused,
    Wrong,
    bulk_engine,
    checked_name,
    expected_errors,
    photo_limits,
    read_settings,
    train_extra,
    with_bar,
)

if TYPE_CHECKING:
    from types import ModuleType

    from app.bundle import Precision
    from training.recipes import RecipeName

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(exists=True, path_type=Path)
_DEVICE = click.Choice(["auto", "cpu", "cuda"])
_PRECISION = click.Choice(["fp32", "int8"])


@click.group()
@click.version_option(__version__, prog_name="hubel")
def main() -> None:
    """Train a CNN on your photos and serve it."""


main.add_command(import_)


@main.command()
@click.option("--models", type=_FOLDER, help="Folder of model bundles.")
@click.option("--device", type=_DEVICE, help="Where models run.  [default: auto]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 takes any.  [default: 8000]")
def serve(models: Path | None, device: str | None, host: str | None, port: int | None) -> None:
    """Serve models over HTTP.

    Every option, and more, can be set by an environment variable: see the README.
    """
    from app import logs, start

    settings = read_settings(models=models, device=device, host=host, port=port)
    logs.configure(settings.log_level)
    try:
        listener = start.bind(settings.host, settings.port)
    except OSError as err:
        raise Wrong(
            f"{settings.host}:{settings.port} can't be listened on ({err.strerror}). "
            "Choose another --host or --port."
        ) from err
    with expected_errors():
        start.serve(settings, listener)


@main.command()
def health() -> None:
    """Ask the service on this machine whether it is ready; for container health checks."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    settings = read_settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    address = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    direct = build_opener(ProxyHandler({}))  # this machine is behind no proxy
    try:
        with direct.open(f"http://{address}/readyz", timeout=2) as answer:
            click.echo(answer.read().decode())
    except (HTTPException, OSError) as err:
        raise Refused(f"The service at {address} is not ready ({err}).") from err


@main.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--models", type=_FOLDER, help="Folder of model bundles.")
@click.option("--model", "name", help="Model; unset: the default one.")
@click.option("--version", type=int, help="Its version; unset: the highest.")
@click.option("--device", type=_DEVICE, help="Where the model runs.  [default: auto]")
@click.option("--top-k", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "csv", "parquet"]),
    default="table",
    show_default=True,
)
@click.option("--output", type=click.Path(path_type=Path), help="File to write; unset: the screen.")
def classify(
    paths: tuple[Path, ...],
    models: Path | None,
    name: str | None,
    version: int | None,
    device: str | None,
    top_k: int,
    form: str,
    output: Path | None,
) -> None:
    """Classify photos and folders of photos, here, without a server.

    A photo that can't be used has its error in its row, and the command exits with 1.
    """
    parquet = _parquet(output) if form == "parquet" else None
    from app import tables
    from app.runtime.bulk import classify_files, photos_below
    from app.runtime.classifier import Query
    from app.runtime.registry import find_models

    settings = read_settings(models=models, device=device)
    with expected_errors():
        photos = [photo for path in paths for photo in photos_below(path)]
    if not photos:
        raise Wrong(f"There are no photos in {', '.join(map(str, paths))}. Name files, or folders.")
    with expected_errors():
        registry = find_models(settings.models, settings.device, settings.default_model).registry
        registry.load_all()
        model = registry.resolve(name, version)
        with bulk_engine(model) as engine:
            outcomes = classify_files(photos, model, Query(top_k), photo_limits(settings), engine)
            outcomes = with_bar(outcomes, len(photos), beside_rows=output is None)
            if parquet is not None and output is not None:
                failed = parquet.write(outcomes, output)
            else:
                with tables.destination(output) as out:
                    failed = tables.write(outcomes, form, top_k, out)
    if failed:
        raise Refused(f"{failed} of {len(photos)} photos can't be used; their rows say why.")


def _parquet(output: Path | None) -> "ModuleType":
    """The module that writes Parquet, where it can."""
    if output is None:
        raise Wrong("Parquet is no text for the screen. Name a file with --output.")
    try:
        from app import parquet
    except ImportError as err:
        raise Wrong(
            f"Parquet needs {err.name}. Install the `parquet` extra, or choose another --format."
        ) from err
    return parquet


@main.command()
@click.argument("bundle", type=_FOLDER)
@click.argument("data", type=_FOLDER)
@click.option("--precision", type=_PRECISION, help="Unset: what is served here.")
@click.option("--device", type=_DEVICE, help="Where the model runs.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write a report into, with pictures of the mistakes.",
)
def evaluate(
    bundle: Path,
    data: Path,
    precision: "Precision | None",
    device: str | None,
    as_json: bool,
    report: Path | None,
) -> None:
    """Measure BUNDLE on DATA, a folder with one folder of photos per label or label id."""
    from dataclasses import asdict

    from app import tables
    from app.runtime import evaluate as evaluation
    from app.runtime.model import load_model
    from app.runtime.session import choose_device

    settings = read_settings(device=device)
    limits = photo_limits(settings)
    if report is not None:
        with train_extra("A report"):
            from training import evaluation_report
    with expected_errors():
        model = load_model(bundle, choose_device(settings.device).device, precision)
        photos = evaluation.labelled_photos(data, model.manifest.labels)
        with bulk_engine(model) as engine:
            measured = evaluation.measure(
                model, photos, limits, engine, lambda them: with_bar(them, len(photos))
            )
        if report is not None:
            evaluation_report.write(model, measured, data, limits, report)
    result = evaluation.figures(model, measured)
    click.echo(json.dumps(asdict(result), indent=1) if as_json else tables.evaluation(result))
    if result.failed:
        raise Refused(f"{len(result.failed)} photos can't be used, and count in no figure.")


@main.command()
@click.argument("data", type=_FOLDER)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the bundle; one that stands there is replaced.",
)
@click.option(
    "--recipe",
    type=click.Choice(["head", "finetune", "scratch"]),
    default="head",
    show_default=True,
    help="A new last layer in seconds; or, with torch, a whole network from ImageNet's weights or "
    "from random ones.",
)
@click.option(
    "--network",
    type=click.Choice(["textbook", "fast"]),
    help="Of scratch: to be understood, or to be good.  [default: textbook]",
)
@click.option(
    "--size",
    type=click.IntRange(8, 480),
    help="Of scratch: side of what the network reads, in pixels.  [default: 32]",
)
@click.option(
    "--backbone",
    type=click.Choice(["lite0", "lite2"]),
    help="Of finetune: the EfficientNet-Lite to begin with.  [default: lite0]",
)
@click.option("--epochs", type=click.IntRange(1), help="Of finetune and scratch.")
@click.option("--device", type=_DEVICE, help="Of finetune and scratch.  [default: auto]")
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Of finetune and scratch: go on where an interrupted run of the same command stopped.",
)
@click.option("--name", help="The model's name.  [default: that of the output folder]")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the split and of training; the same seed gives the same model.",
)
def train(
    data: Path,
    output: Path,
    recipe: "RecipeName",
    name: str | None,
    version: int,
    seed: int,
    **options: Any,
) -> None:
    """Train a model on DATA, a folder with one folder of photos per class.

    Where DATA has train/ and val/ or test/ inside, the split is used as given.
    """
    with train_extra("Training"):
        from training import recipe as training
        from training import recipes
        from training.errors import GateMissed

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing stays half-done
    with expected_errors():
        try:
            chosen = recipes.recipe(recipe, **options)
            arguments = training.Arguments(
                data, output.resolve(), chosen, checked_name(name, output), version, seed
            )
            made = training.train(arguments, click.echo)
        except GateMissed as err:
            raise Refused(str(err)) from err
    for precision, figures in made.bundle.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {100 * figures.top1:.1f} %, ECE {figures.ece:.3f} on "
            f"{figures.images} test photos"
        )
    click.echo(f"written to {output} in {made.bundle.manifest.training.seconds:.0f} s")


@main.command()
@click.argument("bundle", type=_FOLDER)
def check(bundle: Path) -> None:
    """Verify BUNDLE as the service would: files, graphs, golden photos, in every precision."""
    from app import bundle as bundles
    from app.runtime.session import Session
    from app.runtime.verify import check_signature, require_golden, run_golden

    with expected_errors():
        loaded = bundles.load(bundle)
        click.echo(f"schema      {loaded.manifest.name} version {loaded.manifest.version}")
        bundles.verify_files(loaded)
        click.echo(f"files       {len(loaded.manifest.files)} with the right sha256")
        for precision in loaded.manifest.precisions:
            session = Session(loaded.model_path(precision), "cpu", precision)
            check_signature(session, loaded)
            results = run_golden(session, loaded)
            for result in results:
                click.echo(
                    f"{precision:11} {result.file}: off by {result.difference:.1e}, "
                    f"{result.tolerance:.1e} allowed"
                )
            require_golden(results, session)
    click.echo("passed")
