"""The imported file itself, run on pixels that NumPy prepared: the reference for its bundle."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.errors import first_line_of
from app.runtime import ort
from training.errors import DataUnusable
from training.importing.image_input import describe
from training.importing.preparation import Preparation
from training.importing.source import Source


class Original:
    """The file, with the options that ONNX Runtime has for a served graph.

    Args:
        source: the graph of the file.
        file: receives the graph with the one output that holds the classes.

    Raises:
        DataUnusable: ONNX Runtime can't load it.
    """

    def __init__(self, source: Source, file: Path) -> None:
        self.source = source
        onnx.save(_with_one_output(source), file)
        try:
            self._session = ort.open_trial(file)
        except Exception as err:  # ONNX Runtime raises plain Exceptions
            raise DataUnusable(_cannot_run(source, err)) from err

    def run(self, preparation: Preparation, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return its values (N, …) for pixels (N, S, S, 3) uint8 RGB, one picture at a time.

        Dimensions of one number are left out, so a classifier gives (N, K), or (N,) if it has one
        number for a picture.

        Raises:
            DataUnusable: ONNX Runtime can't run it.
        """
        batch = self.source.image.batch or 1
        rows = []
        for picture in pixels:
            floats = preparation.applied(picture[np.newaxis])
            try:
                (values,) = self._session.run(
                    [self.source.output.tensor],
                    {self.source.image.name: np.repeat(floats, batch, 0)},
                )
            except Exception as err:  # ONNX Runtime raises plain Exceptions
                raise DataUnusable(_cannot_run(self.source, err)) from err
            first = np.asarray(values)[:1] if batch > 1 else np.asarray(values)
            rows.append(first.squeeze().astype(np.float64))
        return np.stack(rows)


def _with_one_output(source: Source) -> onnx.ModelProto:
    """Return the graph with the output of the classes alone, and without dummy inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name in {source.image.name, *weights}]
    outputs = [v for v in model.graph.output if v.name == source.output.tensor]
    del model.graph.input[:]
    del model.graph.output[:]
    model.graph.input.extend(inputs)
    model.graph.output.extend(outputs or [onnx.ValueInfoProto(name=source.output.tensor)])
    return model


def _cannot_run(source: Source, err: Exception) -> str:
    return (
        f"ONNX Runtime can't run the model ({first_line_of(err)}). Export it again, with standard "
        f"operators and for {describe(source.image.size)} pixels."
    )
