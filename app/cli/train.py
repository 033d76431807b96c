"""`hubel train`: run `training.pipeline` on a folder of labelled photos."""

import json
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import CheckFailed, WrongUsage, expected_errors
from app.cli.installation import train_extra
from app.cli.options import (
    DEVICE,
    FILE,
    FOLDER,
    accept_per_class_option,
    accept_precision_option,
    checked_name,
    checked_version,
    force_option,
    labels_from_option,
    name_option,
    output_option,
    version_option,
)
from app.cli.ray_options import workers_on_ray, workers_options

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Literal

    from app.bundle import Fit, Task
    from app.dataset.label_table import Form
    from app.dataset.split_names import Part
    from app.errors import HubelError
    from app.on_ray.data_map import Workers
    from training.recipes.embedding import Embed
    from training.recipes.registry import RecipeName


class SplitType(click.ParamType[Any]):
    """The folders of a split: train=A,test=B; or none."""

    name = "split"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the part by folder; empty for none."""
        if not isinstance(value, str):
            return value
        if value == "none":
            return {}
        pairs = [pair.partition("=") for pair in value.split(",")]
        if any(part not in ("train", "val", "test") or not folder for part, _, folder in pairs):
            self.fail(f"{value!r} is not like train=A,val=B,test=C, nor none.", param, ctx)
        if not any(part == "train" for part, _, _ in pairs):
            self.fail(f"{value!r} has no folder for train.", param, ctx)
        folders = [folder for _, _, folder in pairs]
        if twice := [folder for folder in folders if folders.count(folder) > 1]:
            self.fail(f"{value!r} names the folder {twice[0]} twice.", param, ctx)
        return {folder: part for part, _, folder in pairs}


def _ask_for_split(error: "HubelError", suggested: "Mapping[str, Part]") -> "Mapping[str, Part]":
    """Ask whether folders are the parts of a split; return the parts, or nothing for classes.

    Raises:
        HubelError: `error`, where no terminal can be asked, or the answer is neither.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise error
    parts = ", ".join(f"{folder} as {part}" for folder, part in suggested.items())
    if click.confirm(f"Folders of the same names are in each. Is this a split: {parts}?"):
        return suggested
    if click.confirm(f"Are {', '.join(suggested)} the classes?"):
        return {}
    raise error


@click.command()
@click.argument("data", type=FOLDER)
@output_option
@force_option
@labels_from_option
@click.option(
    "--split",
    type=SplitType(),
    help="Folders of DATA that hold the parts of a split, as train=A,test=B, or none where the "
    "folders are classes.  [default: by their names, such as train and test]",
)
@click.option(
    "--split-of",
    type=FOLDER,
    metavar="BUNDLE",
    help="Bundle of an earlier version, whose photos stay in train, val and test as they were. New "
    "photos are added to the parts, and hubel compare can measure both versions on the same test "
    "photos.  [default: a new split]",
)
@click.option(
    "--min-photos",
    type=click.IntRange(3),
    default=5,
    show_default=True,
    help="Different photos that each class must have.",
)
@click.option(
    "--skip-small", is_flag=True, help="Leave out classes with fewer photos than --min-photos."
)
@click.option(
    "--task",
    type=click.Choice(["single_label", "multi_label"]),
    help="Whether a photo has exactly one label, or any number of them. Unset: multi_label if the "
    "table of labels gives a photo several.",
)
@click.option(
    "--recipe",
    type=click.Choice(["head", "finetune", "scratch"]),
    default="head",
    show_default=True,
    help="Recipe. head: a new last layer, in seconds. finetune: a whole network from ImageNet's "
    "weights. scratch: a whole network from random weights. The last two need torch.",
)
@click.option(
    "--fit",
    type=click.Choice(["cover", "stretch", "contain", "auto"]),
    help="How photos that aren't square are read. cover: their centre square. stretch: all of "
    "them, squashed. contain: all of them, with grey around. auto: the best by cross-validation, "
    "which reads and embeds all photos three times.  [default: the backbone's, which is cover for "
    "lite0 and lite2]",
)
@click.option(
    "--network",
    type=click.Choice(["textbook", "fast"]),
    help="Network of scratch: textbook is easy to understand, fast is accurate.  "
    "[default: textbook]",
)
@click.option(
    "--size",
    type=click.IntRange(8, 480),
    help="Side of the network's input, in pixels, for scratch.  [default: 32]",
)
@click.option(
    "--backbone",
    metavar="lite0|lite2|BUNDLE",
    help="Network that head builds on, and that finetune starts from: EfficientNet-Lite0 or "
    "-Lite2, or for head the folder of a bundle with an embedding.  [default: lite0]",
)
@click.option(
    "--quality",
    type=click.Choice(["fast", "best"]),
    help="Effort of head: best also tries the mirror images of the photos, which takes longer and "
    "may be more accurate. Serving is as fast.  [default: fast]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Number of epochs of finetune and scratch. Unset: the recipe's number.",
)
@click.option(
    "--device", type=DEVICE, help="Device that trains, for finetune and scratch.  [default: auto]"
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that train together on this machine, for finetune and scratch: one for each "
    "GPU. For several machines, start the command with torchrun instead.",
)
@workers_options("computes the embeddings of head")
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Continue an interrupted run of the same command, for finetune and scratch.",
)
@click.option(
    "--fixes",
    type=FILE,
    help="Table of corrected labels: report/suspects.csv of an earlier run, with the right label, "
    "or drop, in its column fix. The folder stays as it is.  [default: none]",
)
@accept_precision_option
@accept_per_class_option
@name_option
@version_option
@click.option(
    "--progress",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the progress: text, or on standard output one JSON object per line, with the "
    "step, what is done of it and the seconds left.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split and of training. The same seed gives the same model on the same "
    "machine. On a processor with bfloat16, finetune and scratch measure which layers are faster "
    "in it, so that their weights may differ slightly.",
)
def train(
    data: Path,
    output: Path,
    force: bool,
    labels_from: "Form | None",
    split: "Mapping[str, Part] | None",
    split_of: Path | None,
    min_photos: int,
    skip_small: bool,
    task: "Task | None",
    recipe: "RecipeName",
    fit: 'Fit | Literal["auto"] | None',
    name: str | None,
    version: int | None,
    seed: int,
    fixes: Path | None,
    accept_precision: float | None,
    accept_per_class: bool | None,
    processes: int,
    engine: str,
    workers: tuple[int, int] | None,
    worker_cores: int | None,
    progress: "Literal['text', 'json']",
    **options: Any,
) -> None:
    """Train a model on DATA, a folder with one folder of photos per class.

    If DATA contains train/, alone or beside val/ and test/, this split is used. Instead of folders,
    DATA may have a labels.csv, in which a photo may have several labels, or none.
    """
    from app.cli.output import figures_text

    with train_extra("Training"):
        from training import pipeline as training
        from training import processes as several
        from training import progress as steps
        from training.errors import GateMissed, SplitUnclear
        from training.packaging.promise import Promise
        from training.recipes import registry

    if accept_per_class and accept_precision is None:
        raise WrongUsage("--accept-per-class needs --accept-precision. Add it, such as 0.99.")
    own = several.of_environment()
    if recipe == "head" and max(processes, own.count) > 1:
        raise WrongUsage("The recipe head trains in one process. Leave --processes out.")
    on_ray = workers_on_ray(engine, workers, worker_cores)
    if on_ray is not None and recipe != "head":
        raise WrongUsage("--engine ray is for the recipe head. Leave it out.")
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # like Ctrl-C: partial files are removed
    report = _report_json_text if progress == "json" else click.echo
    following = steps.reporting_steps(_report_json_step) if progress == "json" else nullcontext()
    with expected_errors(), following, _embedding(on_ray) as embed:
        try:
            selected = registry.make_recipe(recipe, embed=embed, **options)
            arguments = training.Arguments(
                data=data,
                output=output.resolve(),
                recipe=selected,
                name=checked_name(name, output),
                version=checked_version(version, output),
                seed=seed,
                force=force,
                labels_from=labels_from,
                split=split,
                split_of=split_of,
                min_photos=min_photos,
                fit=fit,
                skip_small=skip_small,
                task=task,
                fixes=fixes,
                promise=None
                if accept_precision is None
                else Promise(accept_precision, accept_per_class),
            )
            if own.rank:
                training.follow(arguments, own)
                return
            with several.followers(processes if own.count == 1 else 1, _command()):
                try:
                    result = training.train(arguments, report)
                except SplitUnclear as err:
                    arguments = replace(arguments, split=_ask_for_split(err, err.suggested))
                    result = training.train(arguments, report)
        except GateMissed as err:
            raise CheckFailed(str(err)) from err
    for precision, figures in result.bundle.manifest.metrics.items():
        report(f"{precision}: {figures_text(figures)} test photos")
    report(f"written to {output} in {result.bundle.manifest.training.seconds:.0f} s")


@contextmanager
def _embedding(workers: "Workers | None") -> "Generator[Embed | None, None, None]":
    """Yield what computes the embeddings; None: this process."""
    if workers is None:
        yield None
        return
    from app.on_ray.data_map import started_ray
    from training.recipes.embedding_on_ray import EmbedOnRay

    with started_ray():
        yield EmbedOnRay(workers)


def _command() -> list[str]:
    """Return the arguments of `hubel` that run this command."""
    is_alone = click.get_current_context().parent is None  # python -m training
    return [*(["train"] if is_alone else []), *sys.argv[1:]]


def _report_json_text(text: str) -> None:
    click.echo(json.dumps({"type": "text", "text": text}))


def _report_json_step(step: str, done: int, total: int, seconds_left: float | None) -> None:
    line = {"type": "step", "step": step, "done": done, "total": total}
    click.echo(json.dumps({**line, "seconds_left": seconds_left and round(seconds_left, 1)}))
