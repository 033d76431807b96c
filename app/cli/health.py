"""`hubel health`: request /readyz of the service on this machine."""

import click

from app.cli.exit_codes import CheckFailed
from app.cli.options import read_settings


@click.command()
def health() -> None:
    """Exit with 0 if the service on this machine is ready; for container health checks."""
    from http.client import HTTPException
    from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener

    settings = read_settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    address = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    scheme = "http" if settings.tls_cert is None else "https"
    # The certificate names the public host, not this address; nothing secret is sent.
    unverified = SSLContext(PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, CERT_NONE
    # no proxy to this machine itself
    direct = build_opener(ProxyHandler({}), HTTPSHandler(context=unverified))
    try:
        with direct.open(f"{scheme}://{address}/readyz", timeout=2) as response:
            click.echo(response.read().decode())
    except (HTTPException, OSError) as err:
        raise CheckFailed(f"The service at {address} is not ready ({err}).") from err
