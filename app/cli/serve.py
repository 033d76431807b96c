"""`hubel serve`: read the settings, bind a socket and serve until SIGTERM or SIGINT; or on Ray."""

import logging
import os
from pathlib import Path

import click

from app.cli.exit_codes import WrongUsage, expected_errors
from app.cli.options import DEVICE, FOLDER, MODELS, read_settings
from app.cli.ray_options import BoundsType

log = logging.getLogger("hubel")


@click.command()
@click.option(
    "--models",
    type=MODELS,
    help="Folder of model bundles, or their address on S3 (s3://bucket/models), in addition to the "
    "built-in model.",
)
@click.option("--device", type=DEVICE, help="Device that runs the models.  [default: auto]")
@click.option(
    "--index",
    type=FOLDER,
    help="Index of photos, made with `hubel index`, or a folder of indexes.  [default: none]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on. 0: any free port.  [default: 8000]")
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    default="threads",
    show_default=True,
    help="What runs the models. threads: this process. ray: replicas under Ray Serve, on this "
    "machine or on the cluster of RAY_ADDRESS.",
)
@click.option(
    "--replicas",
    type=BoundsType(),
    help="Number of replicas of --engine ray, such as 2, or 1:8 for as many as their queues need.  "
    "[default: 1]",
)
@click.option(
    "--replica-cores",
    type=click.IntRange(1),
    help="Cores of a replica.  [default: those of this machine, divided by the least replicas]",
)
def serve(
    models: "Path | str | None",
    device: str | None,
    index: Path | None,
    host: str | None,
    port: int | None,
    engine: str,
    replicas: tuple[int, int] | None,
    replica_cores: int | None,
) -> None:
    """Serve models over HTTP.

    Environment variables set these options and more: see docs/settings.md.
    """
    from app import logs
    from app.cli.ineffective_variables import unknown_variables, variables_without_effect
    from app.server import start

    settings = read_settings(models=models, device=device, index=index, host=host, port=port)
    logs.configure(settings.log_level, settings.log_format)
    for sentence in (*unknown_variables(os.environ), *variables_without_effect(os.environ)):
        log.warning(sentence)
    if engine == "ray":
        from app.on_ray import start as on_ray

        least, most = replicas or (1, 1)
        gpus = int(settings.device == "cuda")
        with expected_errors():
            on_ray.serve(settings, on_ray.Replicas(least, most, replica_cores, gpus))
        return
    if replicas or replica_cores:
        raise WrongUsage("--replicas and --replica-cores need --engine ray. Add it.")
    try:
        listener = start.bind(settings.host, settings.port)
    except OSError as err:
        raise WrongUsage(
            f"{settings.host}:{settings.port} can't be listened on ({err.strerror}). "
            "Choose another --host or --port."
        ) from err
    with expected_errors():
        start.serve(settings, listener)
