"""The options of commands whose work Ray can do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import WrongUsage

if TYPE_CHECKING:
    from app.on_ray.data_map import Workers


class BoundsType(click.ParamType[Any]):
    """A number of replicas or workers, or its bounds: 2, 1:8."""

    name = "least[:most]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the bounds."""
        if not isinstance(value, str):
            return value
        least, _, most = value.partition(":")
        bounds = (least, most or least)
        if not all(each.isascii() and each.isdigit() for each in bounds):
            self.fail(f"{value!r} is not like 2, nor like 1:8.", param, ctx)
        if not 1 <= int(bounds[0]) <= int(bounds[1]):
            self.fail(f"{value!r} needs at least one, and no more than the most.", param, ctx)
        return int(bounds[0]), int(bounds[1])


def workers_options(what: str) -> Callable[[Any], Any]:
    """Return the decorator that adds --engine, --workers and --worker-cores to a command.

    Args:
        what: what the engine does, such as "classifies".
    """
    options = [
        click.option(
            "--engine",
            type=click.Choice(["threads", "ray"]),
            default="threads",
            show_default=True,
            help=f"What {what}. threads: this process. ray: workers of Ray Data, on this machine "
            "or on the cluster of RAY_ADDRESS.",
        ),
        click.option(
            "--workers",
            type=BoundsType(),
            help="Number of workers of --engine ray, such as 2, or 1:8 for as many as there is "
            "room for.  [default: one for each node]",
        ),
        click.option(
            "--worker-cores",
            type=click.IntRange(1),
            help="Cores of a worker.  [default: those of the smallest node]",
        ),
    ]

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def workers_on_ray(
    engine: str, workers: tuple[int, int] | None, cores: int | None
) -> "Workers | None":
    """Return the workers that the options mean; None: this process does the work.

    Raises:
        WrongUsage: an option has no effect.
    """
    if engine != "ray":
        if workers or cores:
            raise WrongUsage("--workers and --worker-cores need --engine ray. Add it.")
        return None
    from app.on_ray.data_map import Workers

    least, most = workers or (None, None)
    return Workers(least, most, cores)
