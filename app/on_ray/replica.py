"""The service in a replica: the application of `hubel serve`, on a share of the node.

settings, HUBEL_* -> `read_settings`
cores that Ray has assigned, of those of the node -> `cores_of`
both -> `create_app`
"""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from app import logs, main
from app.errors import BadParameter
from app.runtime import host
from app.runtime.host import available_cores
from app.settings import Settings

log = logging.getLogger("hubel")

_OF_THE_SERVER = ("host", "port", "tls_cert", "tls_key", "drain_s")
"""Settings of Hubel's own server, in whose place Ray's listens."""


def read_settings(arguments: Mapping[str, Any]) -> Settings:
    """Return the settings from HUBEL_*, overridden by the arguments of a Serve config.

    New bundles and choices of versions are followed unless HUBEL_WATCH is set: a request for a
    promotion reaches one replica, and the others learn of it from the models folder.

    Raises:
        BadParameter: there is no such setting, its value isn't allowed, or it is one of the server.
    """
    for name in arguments:
        if name not in Settings.model_fields:
            raise BadParameter(f"{name} is no setting of Hubel. See docs/settings.md.")
        if name in _OF_THE_SERVER:
            raise BadParameter(
                f"{name} is a setting of Hubel's own server. Set it in the http_options of Serve, "
                "or leave it out."
            )
    try:
        settings = Settings(**arguments)
    except ValidationError as err:
        first = err.errors()[0]
        message = str(first.get("ctx", {}).get("error", first["msg"])).removesuffix(".")
        where = "".join(f"{part}: " for part in first["loc"])
        raise BadParameter(f"{where}{message}.") from err
    if "watch" not in settings.model_fields_set:
        settings = settings.model_copy(update={"watch": True})
    return settings


def cores_of(assigned: Mapping[str, float]) -> int:
    """Return the cores of a replica by the resources that Ray has assigned, such as {"CPU": 2.0}.

    Without a processor among them it may use all cores of the node.
    """
    return min(available_cores(), math.ceil(assigned.get("CPU") or available_cores()))


def create_app(settings: Settings, assigned: Mapping[str, float]) -> FastAPI:
    """Create the application of a replica, which loads its models when it starts.

    Raises:
        DeviceUnavailable: the requested device is unavailable.
        BadParameter: the folder of models, or the keys file, can't be read.
        ValueError: a key file can't be read.
    """
    logs.configure(settings.log_level, settings.log_format)
    host.return_large_blocks()
    cores = cores_of(assigned)
    log.info("this replica uses %d of the node's %d cores", cores, available_cores())
    return main.create_app(settings, cores=cores)
