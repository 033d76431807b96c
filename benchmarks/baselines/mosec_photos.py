"""mosec: its server in Rust, WORKERS processes, raw bodies, no batches.

MODEL=model.onnx THREADS=1 WORKERS=2 python -m benchmarks.baselines.mosec_photos --port 8003
"""

import os
from typing import Any

from mosec import Server, Worker

from benchmarks.baselines.photo import predictions, session


class Classifier(Worker):
    """One worker; mosec makes JSON of its answers."""

    def __init__(self) -> None:
        self.graph = session()

    def deserialize(self, data: bytes) -> bytes:
        """As it is."""
        return data

    def forward(self, data: bytes) -> dict[str, Any]:
        """Classify one photo."""
        return predictions(self.graph, data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classifier, num=int(os.environ["WORKERS"]))
    server.run()
