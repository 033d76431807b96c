"""The output of a graph that holds the classes -> its name, and whether it holds logits.

outputs -> the only one, or the one that the command line names
        -> logits or probabilities    from its last node, or as the command line says
"""

from typing import Literal

import onnx

from training.errors import DataUnusable

Kind = Literal["logits", "probabilities"]
_SKIPPED = frozenset({"Identity", "Flatten", "Reshape", "Squeeze", "Cast", "Dropout"})
"""Operators that may stand between a Softmax and the output."""


def class_output(model: onnx.ModelProto, stated: str | None) -> str:
    """Return the name of the output that holds the classes.

    Args:
        model: the model.
        stated: the name on the command line; None for the only output.

    Raises:
        DataUnusable: there is no such output, or there are several.
    """
    names: list[str] = [value.name for value in model.graph.output]
    if stated is None and len(names) == 1:
        return names[0]
    if stated not in names:
        problem = f"no output {stated!r}" if stated is not None else f"{len(names)} outputs"
        listed = " and ".join(map(repr, names))
        raise DataUnusable(
            f"The model has {problem}: there {'is' if len(names) == 1 else 'are'} {listed}. "
            "Pass the one that holds the classes as --output-name."
        )
    return stated or names[0]


def output_kind(
    model: onnx.ModelProto, output: str, stated: Kind | None
) -> tuple[Kind, str | None]:
    """Return what an output holds, and the tensor that its last Softmax reads.

    The tensor is None if no Softmax ends the graph.

    Raises:
        DataUnusable: the kind can't be seen in the graph, or contradicts `stated`, or the classes
            don't exclude one another.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    last = producers.get(output)
    while last is not None and last.op_type in _SKIPPED:
        last = producers.get(last.input[0])
    op = "" if last is None else last.op_type
    if op == "Softmax":
        if stated == "logits":
            raise DataUnusable(
                "The model ends with a Softmax, so it gives probabilities. Leave out --output-kind."
            )
        assert last is not None
        return "probabilities", last.input[0]
    if op == "LogSoftmax":  # logarithms of probabilities are logits
        return "logits", None
    if op == "Sigmoid":
        raise DataUnusable(
            "The model ends with a Sigmoid: its classes don't exclude one another, and don't sum "
            "to 1. Export it with a Softmax."
        )
    if stated is None:
        raise DataUnusable(
            f"The model ends with {op or 'its input'}, so it can't be told whether its "
            f"output {output!r} holds logits or probabilities. Pass --output-kind logits or "
            "--output-kind probabilities."
        )
    return stated, None
