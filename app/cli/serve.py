"""`hubel serve`: read the settings, bind a socket and serve until SIGTERM or SIGINT."""

import logging
import os
from pathlib import Path

import click

from app.cli.exit_codes import WrongUsage, expected_errors
from app.cli.options import DEVICE, MODELS, read_settings

log = logging.getLogger("hubel")


@click.command()
@click.option(
    "--models",
    type=MODELS,
    help="Folder of model bundles, or their address on S3 (s3://bucket/models), in addition to the "
    "built-in model.",
)
@click.option("--device", type=DEVICE, help="Device that runs the models.  [default: auto]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on. 0: any free port.  [default: 8000]")
def serve(
    models: "Path | str | None", device: str | None, host: str | None, port: int | None
) -> None:
    """Serve models over HTTP.

    Environment variables set these options and more: see docs/settings.md.
    """
    from app import logs
    from app.cli.ineffective_variables import unknown_variables, variables_without_effect
    from app.server import start

    settings = read_settings(models=models, device=device, host=host, port=port)
    logs.configure(settings.log_level, settings.log_format)
    for sentence in (*unknown_variables(os.environ), *variables_without_effect(os.environ)):
        log.warning(sentence)
    try:
        listener = start.bind(settings.host, settings.port)
    except OSError as err:
        raise WrongUsage(
            f"{settings.host}:{settings.port} can't be listened on ({err.strerror}). "
            "Choose another --host or --port."
        ) from err
    with expected_errors():
        start.serve(settings, listener)
