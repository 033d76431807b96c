"""The values of settings that are more than a number or a word: lists, a path prefix, keys."""

import re
from ipaddress import ip_network
from pathlib import Path

from pydantic import SecretStr

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
"""An origin as browsers send it, in lower case (RFC 6454)."""
_IPV4 = 4
_S3_ADDRESS = re.compile(r"s3://[^/\s]+(/\S*)?")


def models(value: object) -> Path | str:
    """Return a folder, or an address on S3.

    Raises:
        ValueError: it is neither.
    """
    text = str(value)
    if text.startswith("s3:"):
        if not _S3_ADDRESS.fullmatch(text):
            raise ValueError("an address on S3 looks like s3://bucket/models")
        return text
    if not Path(text).is_dir():
        raise ValueError("Path does not point to a directory")
    return Path(text)


def root_path(text: str) -> str | None:
    """Return a path prefix without the slash at its end; None for the root itself.

    Raises:
        ValueError: it isn't a path.
    """
    if not _ROOT_PATH.fullmatch(text):
        raise ValueError("it must be a path such as /hubel")
    return text.rstrip("/") or None


def origins(text: str) -> list[str]:
    """Return the origins of a list; `*` stands for all.

    Raises:
        ValueError: one of them isn't an origin.
    """
    items = _items(text)
    for origin in items:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin} is no origin. Write a scheme, a host and perhaps a port, without a "
                "slash at the end: https://shop.example"
            )
    return items


def proxies(text: str) -> list[str]:
    """Return the networks of a list, those of IPv4 also as a socket for both versions has them.

    Raises:
        ValueError: one of them isn't an address, a network or `*`, which stands for all.
    """
    items = _items(text)
    networks = []
    for item in items:
        if item == "*":
            return ["*"]
        try:
            networks.append(ip_network(item))
        except ValueError as err:
            raise ValueError(
                f"{item} is no address and no network. Write 10.0.0.2 or 10.0.0.0/8"
            ) from err
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if network.version == _IPV4
    ]
    return [str(network) for network in networks] + mapped


def _items(text: str) -> list[str]:
    """Return the parts of a list that commas separate."""
    return [item.strip() for item in text.split(",") if item.strip()]


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """Return a key from its variable or its file; None if neither is set.

    Raises:
        ValueError: the file can't be read or is empty, or the key isn't ASCII.
    """
    if file is None:
        return _ascii(value.get_secret_value()) if value else None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise ValueError(f"The key file {file} can't be read ({err.strerror}).") from err
    if not text:
        raise ValueError(f"The key file {file} is empty. Write the key into it.")
    return _ascii(text)


def _ascii(key: str) -> str:
    if not key.isascii():
        raise ValueError(
            "A key must be ASCII: HTTP headers change other characters. Choose another key."
        )
    return key
