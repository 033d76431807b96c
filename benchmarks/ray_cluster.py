"""Kill a node of a Ray cluster under load, or raise the load until the cluster grows.

    .venv/ray/bin/python -m benchmarks.ray_cluster kill  --photo FILE [--seconds 60]
    .venv/ray/bin/python -m benchmarks.ray_cluster scale --photo FILE [--seconds 120]

The nodes are processes on this machine. `kill`: a head, three nodes of one core, two replicas;
after a third of the time, all processes of a node with a replica are killed. `scale`: a head and
one node, whose autoscaler starts up to four; after a sixth of the time, clients grow from 1 to 24.
A client sends a request again, up to five times, if the connection is closed or the status is 429
or from 500 on. Printed, in Markdown, for each five seconds: responses, those that a client had to
send again, those that got 429 six times, those that were lost, replicas that run, nodes. Linux
only.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from app.on_ray import environment
from benchmarks.serving.process import free_port

_TRIES = 6
_PORT = 6379
"""Of the head; the nodes that its autoscaler starts here expect it."""
_COMMANDS = (
    *("initialization_commands", "setup_commands", "head_setup_commands"),
    *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
    *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
)
"""What Ray's autoscaler requires of a configuration; nothing is run."""
_STEP_S = 5


class Clients:
    """Threads that post a photo again and again."""

    def __init__(self, port: int, photo: bytes) -> None:
        self._port, self._photo = port, photo
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        self.again: Counter[str] = Counter()

    def add(self, count: int) -> None:
        """Start more clients."""
        for _ in range(count):
            thread = threading.Thread(target=self._run)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Wait for the requests that run, and end."""
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            failures = []
            for _ in range(_TRIES):
                failure = self._post()
                if failure is None:
                    break
                failures.append(failure)
                time.sleep(0.5)
            with self._lock:
                given_up = len(failures) == _TRIES
                refused = given_up and failures[-1] == "429"
                self.counts["refused" if refused else "lost" if given_up else "answered"] += 1
                self.counts["again"] += bool(failures)
                self.again.update(failures)

    def _post(self) -> str | None:
        """Return why the request has to be sent again, or None."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/api/v1/classify", self._photo)
            response = connection.getresponse()
            response.read()
            return None if response.status == http.client.OK else str(response.status)
        except (OSError, http.client.HTTPException) as err:
            return type(err).__name__
        finally:
            connection.close()


def deploy(port: int, options: dict[str, Any]) -> None:
    """Start Serve on the head alone, and the replicas."""
    from ray import serve

    from hubel import on_ray

    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    application = on_ray.build_with(options, {"watch": False, "log_level": "warning"})
    serve.run(application, name="hubel", route_prefix="/")


def state() -> tuple[int, int]:
    """Return the replicas that run, and the nodes without the head."""
    import ray
    from ray import serve

    deployment = serve.status().applications["hubel"].deployments["hubel"]
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    return deployment.replica_states.get("RUNNING", 0), len(nodes)


def observe(clients: Clients, seconds: float, began: float) -> None:
    """Print a row for each few seconds."""
    before: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(_STEP_S)
        now = Counter(clients.counts)
        step, before = now - before, now
        replicas, nodes = state()
        counts = [step[name] for name in ("again", "refused", "lost")]
        figures = [step["answered"] / _STEP_S, *counts, replicas, nodes]
        cells = " | ".join(f"{each:.0f}" for each in figures)
        print(f"| {time.monotonic() - began:.0f} | {cells} |", flush=True)


def kill(port: int, photo: bytes, seconds: float) -> Clients:
    """Kill a node with a replica under load."""
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    ray.init(address=cluster.address, log_to_driver=False)
    deploy(port, {"num_replicas": 2, "ray_actor_options": {"num_cpus": 1}})
    clients = Clients(port, photo)
    began = time.monotonic()
    clients.add(8)
    observe(clients, seconds / 3, began)
    details = serve.context._get_global_client().get_serve_details()
    (replica, *_) = details["applications"]["hubel"]["deployments"]["hubel"]["replicas"]
    (node,) = (each for each in nodes if each.node_id == replica["node_id"])
    print("| | the node of a replica is killed | | | | | |", flush=True)
    cluster.remove_node(node, allow_graceful=False)
    observe(clients, seconds * 2 / 3, began)
    clients.stop()
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()
    return clients


def autoscaled_head() -> tuple[subprocess.Popen[bytes], str]:
    """Start a head whose autoscaler starts nodes on this machine; return it and its address."""
    node: dict[str, Any] = {"node_config": {}, "min_workers": 1, "max_workers": 4}
    node["resources"] = {"CPU": 1, "object_store_memory": 10**8}
    config = {
        "cluster_name": "hubel",
        "max_workers": 4,
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "one core": node,
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        },
        "head_node_type": "ray.head.default",
        "idle_timeout_minutes": 0.5,
        "upscaling_speed": 1.0,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in _COMMANDS},
    }
    file = Path(tempfile.mkdtemp()) / "autoscaler.json"
    file.write_text(json.dumps(config))
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block"]
    command += ["--num-cpus=0", f"--port={_PORT}", f"--autoscaling-config={file}"]
    variables = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    head = subprocess.Popen(
        list(map(str, command)), env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )
    time.sleep(20)
    return head, f"127.0.0.1:{_PORT}"


def scale(port: int, photo: bytes, seconds: float) -> Clients:
    """Raise the load until Serve asks for replicas, and they for nodes."""
    import ray

    head, address = autoscaled_head()
    try:
        ray.init(address=address, log_to_driver=False)
        return raise_load(port, photo, seconds)
    finally:
        ray.shutdown()
        head.terminate()
        head.wait(60)


def raise_load(port: int, photo: bytes, seconds: float) -> Clients:
    """Serve to one client, then to 24, then to none."""
    from ray import serve

    from app.on_ray.start import AUTOSCALING

    scaling = {**AUTOSCALING, "min_replicas": 1, "max_replicas": 4, "downscale_delay_s": 20}
    deploy(port, {"autoscaling_config": scaling, "ray_actor_options": {"num_cpus": 1}})
    clients = Clients(port, photo)
    began = time.monotonic()
    clients.add(1)
    observe(clients, seconds / 6, began)
    print("| | 23 clients more | | | | | |", flush=True)
    clients.add(23)
    observe(clients, seconds / 2, began)
    print("| | all clients end | | | | | |", flush=True)
    clients.stop()
    observe(clients, seconds / 3, began)
    serve.shutdown()
    return clients


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["kill", "scale"])
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=90)
    arguments = parser.parse_args()
    environment.set_variables()
    os.environ["RAY_AUTH_MODE"] = "token"  # a head that is started has one, in ~/.ray
    print("| s | responses/s | sent again | refused | lost | replicas | nodes |")
    print("|---" * 7 + "|")
    part = kill if arguments.part == "kill" else scale
    clients = part(free_port(), arguments.photo.read_bytes(), arguments.seconds)
    print(f"\n{dict(clients.counts)}; reasons to send again: {dict(clients.again)}")


if __name__ == "__main__":
    main()
