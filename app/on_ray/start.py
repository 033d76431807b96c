"""`hubel serve --engine ray`: Ray on this machine, or a cluster that exists; serve until SIGTERM.

variables -> Ray starts, or RAY_ADDRESS is connected to -> HAProxy on the address -> replicas
SIGTERM   -> replicas finish their requests; what was started here ends
"""

import logging
import os
import signal
import threading
from dataclasses import dataclass
from typing import Any

from app.errors import BadParameter
from app.on_ray import environment
from app.runtime.host import available_cores
from app.settings import Settings

log = logging.getLogger("hubel")


@dataclass(frozen=True)
class Replicas:
    """How many replicas there are, and what each one has."""

    least: int = 1
    most: int = 1
    cores: int | None = None
    """The cores of one; None: all of the node, divided by `least`."""
    gpus: int = 0
    """The GPUs of one."""

    def options(self, cores_of_node: int) -> dict[str, Any]:
        """Return Ray's options for the deployment."""
        cores = self.cores or max(1, cores_of_node // self.least)
        options: dict[str, Any] = {"ray_actor_options": {"num_cpus": cores, "num_gpus": self.gpus}}
        if self.least == self.most:
            return {**options, "num_replicas": self.least}
        scaling = {"min_replicas": self.least, "max_replicas": self.most}
        return {**options, "num_replicas": None, "autoscaling_config": {**AUTOSCALING, **scaling}}


AUTOSCALING = {
    "target_ongoing_requests": 8,
    "metrics_interval_s": 2.0,
    "look_back_period_s": 5.0,
    "upscale_delay_s": 5.0,
    "downscale_delay_s": 120.0,
}
"""A replica's requests in all, those in its queue and those that run; as the Kubernetes autoscaler
of deploy/kubernetes keeps 8 waiting images a pod."""


def serve(settings: Settings, replicas: Replicas) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BadParameter: Ray or HAProxy isn't installed, a setting has no effect here, or the replicas
            can't start.
    """
    if settings.tls_cert is not None:
        raise BadParameter(
            "--engine ray serves HTTP alone. Leave HUBEL_TLS_CERT out, and let a proxy before it "
            "end TLS."
        )
    stopped = threading.Event()
    environment.set_variables()
    import ray
    from ray import serve as ray_serve

    from hubel import on_ray

    arguments = _arguments(settings)
    address = os.environ.get("RAY_ADDRESS", "local")  # "local": not one that has run here before
    if address == "local":
        environment.choose_ports()
    ray.init(address=address, include_dashboard=False, log_to_driver=True, logging_level="WARNING")
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        application = on_ray.build_with(replicas.options(available_cores()), arguments)
        try:
            ray_serve.start(http_options={"host": settings.host, "port": settings.port})
            ray_serve.run(application, name="hubel", route_prefix="/")
        except (RuntimeError, ray.exceptions.RayError) as err:
            raise BadParameter(
                f"The replicas can't start: {environment.last_line(str(err))} Ray's logs are below "
                "/tmp/ray/session_latest/logs/serve."
            ) from err
        log.info("Hubel answers at http://%s:%d", settings.host, settings.port)
        stopped.wait()
        ray_serve.delete("hubel")
    finally:
        if address == "local":
            ray_serve.shutdown()
        ray.shutdown()


def _arguments(settings: Settings) -> dict[str, Any]:
    """Return the settings that were given, for the replicas."""
    of_the_server = ("host", "port", "drain_s")
    return settings.model_dump(
        include=settings.model_fields_set.difference(of_the_server), mode="python"
    )
