"""`hubel health`: request /readyz of the service on this machine."""

import click

from app.cli.exit_codes import CheckFailed
from app.cli.options import read_settings


@click.command()
def health() -> None:
    """Exit with 0 if the service on this machine is ready; for container health checks."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    settings = read_settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    address = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    direct = build_opener(ProxyHandler({}))  # no proxy to this machine itself
    try:
        with direct.open(f"http://{address}/readyz", timeout=2) as response:
            click.echo(response.read().decode())
    except (HTTPException, OSError) as err:
        raise CheckFailed(f"The service at {address} is not ready ({err}).") from err
