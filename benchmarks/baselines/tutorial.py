"""FastAPI as its tutorial has it: UploadFile, a plain function, the default threads.

PORT=8001 MODEL=model.onnx THREADS=1 python -m benchmarks.baselines.tutorial
"""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, UploadFile

from benchmarks.baselines.photo import predictions, session

app = FastAPI()
graph = session()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, Any]:
    """Classify one uploaded photo."""
    return predictions(graph, file.file.read())


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
