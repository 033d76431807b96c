"""The parts of Hubel that an installation may lack, and how to get them.

the serving image            -> no `training`: the commands that need it are left out of the help
a wheel without an extra     -> no ONNX Runtime, or no packages for training
"""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import click

from app.cli.exit_codes import WrongUsage

_NEEDS_TRAINING = ("train", "import", "calibrate", "compare")
"""The commands that can't do anything without `training`."""
_TRAIN_IMAGE = (
    "In Docker, use the image hubel:train "
    "(docker compose run --rm train COMMAND, or docker build --target train)."
)


def has_training() -> bool:
    """Return whether the training program is part of this installation."""
    return find_spec("training") is not None


class Commands(click.Group):
    """The commands that this installation can run; a missing ONNX Runtime is one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names for the help."""
        names = super().list_commands(ctx)
        return [name for name in names if has_training() or name not in _NEEDS_TRAINING]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how to get the commands that are left out."""
        super().format_epilog(ctx, formatter)
        if not has_training():
            formatter.write_paragraph()
            names = f"{', '.join(_NEEDS_TRAINING[:-1])} and {_NEEDS_TRAINING[-1]}"
            formatter.write_text(f"This image only serves: {names} are not in it. {_TRAIN_IMAGE}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; one that this image lacks fails before its options are read."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in _NEEDS_TRAINING and not has_training():
            raise WrongUsage(f"{name} is not part of the serving image. {_TRAIN_IMAGE}")
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as err:
            if err.name != "onnxruntime":
                raise
            raise WrongUsage(
                "ONNX Runtime is not installed. Install one of its builds with Hubel: "
                "pip install 'hubel[cpu]', or 'hubel[gpu]'."
            ) from err


@contextmanager
def train_extra(feature: str) -> Generator[None, None, None]:
    """Wrap imports of `training`; the error names a missing package and how to install it.

    Raises:
        WrongUsage: `training`, or a package that it needs, is not installed.
    """
    try:
        yield
    except ImportError as err:
        if not has_training():
            raise WrongUsage(f"{feature} is not part of the serving image. {_TRAIN_IMAGE}") from err
        raise WrongUsage(
            f"{feature} needs {err.name}. Run make setup in a checkout, or install the extra "
            "`train`: pip install 'hubel[train]'."
        ) from err
