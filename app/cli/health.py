"""`hubel health`: ask /readyz of the service on this machine."""

import click

from app.cli.exit_codes import CheckFailed
from app.cli.options import read_settings


@click.command()
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
        raise CheckFailed(f"The service at {address} is not ready ({err}).") from err
