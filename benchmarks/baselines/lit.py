"""LitServe: WORKERS processes, no batches (a CPU gains nothing), uploads as its guide has them.

PORT=8002 MODEL=model.onnx THREADS=1 WORKERS=2 python -m benchmarks.baselines.lit
"""

import os
from typing import Any

import litserve

from benchmarks.baselines.photo import predictions, session


class Classifier(litserve.LitAPI):
    """One worker."""

    def setup(self, device: str) -> None:
        """Load the graph."""
        self.graph = session()

    def decode_request(self, request) -> bytes:  # LitServe gives meaning to an annotation
        """The uploaded file's bytes."""
        return request["file"].file.read()

    def predict(self, data: bytes) -> dict[str, Any]:
        """Classify one photo."""
        return predictions(self.graph, data)

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return answer


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"])
    )
    server.run(port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
