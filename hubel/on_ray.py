"""What Ray's processes import first: it finds the code of the wheel or the checkout.

build            the application for Ray Serve: `import_path: hubel.on_ray:build` in a Serve config
PickledWorker    a worker of Ray Data
"""

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hubel

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

hubel.add_code_to_path()  # a replica imports this module first

DEPLOYMENT = "hubel"
_WAITING = 10_000
"""Requests that Ray hands to a replica at once. Hubel's own queue refuses what is too much."""
_GRACE_S = 20.0
"""Time for running requests when a replica ends; the deadline of a request is 10 s."""


class Replica:
    """One replica: the application of `hubel serve`, behind Ray's HTTP.

    Args:
        arguments: the settings that override those of the environment.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        import ray

        from app.on_ray import replica

        assigned = ray.get_runtime_context().get_assigned_resources()
        self._app = replica.create_app(replica.read_settings(arguments), assigned)

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Return the application, whose start loads the models."""
        return self._app

    def check_health(self) -> None:
        """Raise what /readyz reports: Ray replaces the replica."""
        self._app.state.service.registry.check_ready()


def build(arguments: dict[str, Any]) -> "Application":
    """Return the application for a Serve config, whose own fields set the deployment's options.

    The environment variables HUBEL_* of the replicas apply, too.

    Args:
        arguments: settings in lower case, such as {"models": "/models"}.

    Raises:
        BadParameter: a setting isn't allowed.
    """
    return build_with({}, arguments)


def build_with(options: dict[str, Any], arguments: dict[str, Any]) -> "Application":
    """Return the application with these options of the deployment.

    Raises:
        BadParameter: a setting isn't allowed.
    """
    from ray import serve

    from app.on_ray import replica

    replica.read_settings(arguments)
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name=DEPLOYMENT,
        max_ongoing_requests=_WAITING,
        graceful_shutdown_timeout_s=_GRACE_S,
        health_check_period_s=5,
        health_check_timeout_s=10,
        logging_config={"enable_access_log": False},  # Hubel's log has a line for each request
    )
    return deployment.options(**options).bind(arguments)


class PickledWorker:
    """A worker of Ray Data, made from bytes once its process has found the code.

    An expected error is a result: raised, it would come back without its class, in Ray's words.

    Args:
        make: the pickled `app.on_ray.data_map.MakeWorker`.
        folder: the folder that relative paths begin at: the command's.
    """

    def __init__(self, make: bytes, folder: str) -> None:
        import ray

        from app.errors import HubelError

        with suppress(FileNotFoundError):  # a path in it is missed later, by its name
            os.chdir(folder)
        assigned = ray.get_runtime_context().get_assigned_resources()
        self._worker: Any = None
        self._error: HubelError | None = None
        try:
            self._worker = pickle.loads(make)(assigned)
        except HubelError as err:
            self._error = err

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield the pickled results of a batch of items, some at a time, or an expected error."""
        from app.errors import HubelError

        try:
            if self._error is not None:
                raise self._error
            for item in batch["item"]:
                for results in self._worker.results_of(str(item)):
                    yield {"results": [pickle.dumps(results)]}
        except HubelError as err:
            yield {"results": [pickle.dumps(err.with_traceback(None))]}
