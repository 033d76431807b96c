"""`hubel …`: thin commands; what is heavy is imported inside them.

Exit codes: 0 done, 1 a failed check (or photos that can't be used), 2 wrong usage or input.
Errors are one sentence on standard error.
"""

import json
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app import __version__

if TYPE_CHECKING:
    from app import vision
    from app.bundle import Precision
    from app.runtime.engine import Engine
    from app.settings import Settings

T = TypeVar("T")

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(exists=True, path_type=Path)
_DEVICE = click.Choice(["auto", "cpu", "cuda"])
_PRECISION = click.Choice(["fp32", "int8"])
_BULK_DEADLINE_S = 24 * 3600.0
"""Bulk work is waited for."""


class _Refused(click.ClickException):
    exit_code = 1


class _Wrong(click.ClickException):
    exit_code = 2


@contextmanager
def _errors() -> Generator[None, None, None]:
    """Expected errors leave as one sentence: 1 for a bundle that fails, 2 for wrong input."""
    from app.errors import BundleError, HubelError

    try:
        yield
    except BundleError as err:
        raise _Refused(str(err)) from err
    except BrokenPipeError:
        raise  # whoever read our output has had enough, as `head` has: click ends quietly
    except (HubelError, OSError) as err:
        raise _Wrong(str(err)) from err


def _settings(**given: Any) -> "Settings":
    """The settings of the environment, and over them the options that were given."""
    from pydantic import ValidationError

    from app.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as err:
        first = err.errors()[0]
        told = str(first.get("ctx", {}).get("error", first["msg"])).removesuffix(".")
        where = "".join(f"HUBEL_{str(part).upper()}={first['input']}: " for part in first["loc"])
        raise _Wrong(f"{where}{told}.") from err


def _engine() -> "Engine":
    """An engine over all cores, for work that is waited for."""
    from app.runtime.cores import available_cores
    from app.runtime.engine import Engine

    return Engine(threads=available_cores(), deadline_s=_BULK_DEADLINE_S)


def _limits(settings: "Settings") -> "vision.Limits":
    """What one photo may cost."""
    from app import vision

    return vision.Limits(settings.max_image_bytes, settings.max_pixels)


def _progress(items: Iterable[T], length: int) -> Iterator[T]:
    """Hand `items` on, with a bar on standard error where that is a terminal."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        items, length, label="photos", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar


@click.group()
@click.version_option(__version__, prog_name="hubel")
def main() -> None:
    """Train a CNN on your photos and serve it."""


@main.command()
@click.option("--models", type=_FOLDER, help="Folder of model bundles.")
@click.option("--device", type=_DEVICE, help="Where models run.  [default: auto]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 takes any.  [default: 8000]")
def serve(models: Path | None, device: str | None, host: str | None, port: int | None) -> None:
    """Serve models over HTTP.

    Every option, and more, can be set by an environment variable: see the README.
    """
    from app import logs, main, server

    settings = _settings(models=models, device=device, host=host, port=port)
    logs.configure(settings.log_level)
    try:
        listener = server.bind(settings.host, settings.port)
    except OSError as err:
        raise _Wrong(
            f"{settings.host}:{settings.port} can't be listened on ({err.strerror}). "
            "Choose another --host or --port."
        ) from err
    with _errors():
        main.serve(settings, listener)


@main.command()
def health() -> None:
    """Ask the service on this machine whether it is ready; for container health checks."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    settings = _settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    address = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    direct = build_opener(ProxyHandler({}))  # this machine is behind no proxy
    try:
        with direct.open(f"http://{address}/readyz", timeout=2) as answer:
            click.echo(answer.read().decode())
    except (HTTPException, OSError) as err:
        raise _Refused(f"The service at {address} is not ready ({err}).") from err


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
    type=click.Choice(["table", "jsonl", "csv"]),
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
    from app import tables
    from app.runtime.bulk import classify_files, photos_below
    from app.runtime.classifier import Query
    from app.runtime.registry import open_registry

    settings = _settings(models=models, device=device)
    with _errors():
        photos = [photo for path in paths for photo in photos_below(path)]
    if not photos:
        raise _Wrong(
            f"There are no photos in {', '.join(map(str, paths))}. Name files, or folders."
        )
    with _errors(), _engine() as engine:
        registry = open_registry(settings.models, settings.device, settings.default_model)
        model = registry.resolve(name, version)
        outcomes = classify_files(photos, model, Query(top_k), _limits(settings), engine)
        with tables.destination(output) as out:
            failed = tables.write(_progress(outcomes, len(photos)), form, top_k, out)
    if failed:
        raise _Refused(f"{failed} of {len(photos)} photos can't be used; their rows say why.")


@main.command()
@click.argument("bundle", type=_FOLDER)
@click.argument("data", type=_FOLDER)
@click.option("--precision", type=_PRECISION, help="Unset: what is served here.")
@click.option("--device", type=_DEVICE, help="Where the model runs.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(
    bundle: Path,
    data: Path,
    precision: "Precision | None",
    device: str | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE on DATA, a folder with one folder of photos per label or label id."""
    from dataclasses import asdict

    from app import tables
    from app.runtime import evaluate as evaluation
    from app.runtime.model import load_model
    from app.runtime.session import choose_device

    settings = _settings(device=device)
    with _errors(), _engine() as engine:
        model = load_model(bundle, choose_device(settings.device).device, precision)
        photos = evaluation.labelled_photos(data, model.manifest.labels)
        result = evaluation.evaluate(
            model, photos, _limits(settings), engine, lambda them: _progress(them, len(photos))
        )
    click.echo(json.dumps(asdict(result), indent=1) if as_json else tables.evaluation(result))
    if result.failed:
        raise _Refused(f"{len(result.failed)} photos can't be used, and count in no figure.")


@main.command()
@click.argument("data", type=_FOLDER)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the bundle; one that stands there is replaced.",
)
@click.option("--recipe", type=click.Choice(["head"]), default="head", show_default=True)
@click.option("--name", help="The model's name.  [default: that of the output folder]")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the split; the same seed gives the same model.",
)
def train(data: Path, output: Path, recipe: str, name: str | None, version: int, seed: int) -> None:
    """Train a model on DATA, a folder with one folder of photos per class.

    Where DATA has train/ and val/ or test/ inside, the split is used as given.
    """
    try:
        from training import recipe as training
        from training.errors import GateMissed
    except ImportError as err:
        raise _Wrong(
            f"Training needs {err.name}. Run make setup, or install the `train` extra."
        ) from err

    with _errors():
        try:
            arguments = training.Arguments(
                data, output, recipe, _model_name(name, output), version, seed
            )
            made = training.train(arguments, click.echo)
        except GateMissed as err:
            raise _Refused(str(err)) from err
    for precision, figures in made.bundle.manifest.metrics.items():
        click.echo(
            f"{precision}: top-1 {100 * figures.top1:.1f} %, ECE {figures.ece:.3f} on "
            f"{figures.images} test photos"
        )
    click.echo(f"written to {output} in {made.bundle.manifest.training.seconds:.0f} s")


def _model_name(name: str | None, output: Path) -> str:
    """The name that was given, or the output folder's."""
    from pydantic import TypeAdapter, ValidationError

    from app.bundle import Name

    chosen = output.resolve().name if name is None else name
    try:
        return TypeAdapter[str](Name).validate_python(chosen)
    except ValidationError as err:
        raise _Wrong(
            f"{chosen!r} can't be a model's name. "
            "Give --name, in lower-case letters, digits, '.', '_' and '-'."
        ) from err


@main.command()
@click.argument("bundle", type=_FOLDER)
def check(bundle: Path) -> None:
    """Verify BUNDLE as the service would: files, graphs, golden photos, in every precision."""
    from app import bundle as bundles
    from app.runtime.session import Session
    from app.runtime.verify import check_signature, require_golden, run_golden

    with _errors():
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
