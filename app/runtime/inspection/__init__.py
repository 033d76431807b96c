"""Inside a model: what its layers see in a photo, and why it answers as it does.

    graph       the ONNX file, read once: nodes, constants, shapes
    anatomy     graph -> what is kept of it: the layers, the first layer's filters, the head
    sessions    a layer as the output of a session of its own, cut off behind it
    looked      photo -> canvas -> pixels, timed
    cam         class activation maps, exact where the head is pooled and linear
    occlusion   the same question for any other model: cover a part, and look what it costs
    kernel      a filter of the user's own over the canvas
    pictures    maps, filters and overlays as PNG
    answers     what is told of each
    inside      the door: one object that holds what was read, and drops it with its model

`onnx` is imported here alone, on first use: it costs half a second that a start must not take.
"""

from app.runtime.inspection.filters import Filters
from app.runtime.inspection.inspector import Inspector, label_index, require_embedding
from app.runtime.inspection.kernel import Kernel
from app.runtime.inspection.layers import Layer, ModelStructure
from app.runtime.inspection.pictures import Grid, filter_grid
from app.runtime.inspection.prepared_photo import PreparedPhoto
from app.runtime.inspection.results import Embedding, Explanation, Maps

__all__ = [
    "Embedding",
    "Explanation",
    "Filters",
    "Grid",
    "Inspector",
    "Kernel",
    "Layer",
    "Maps",
    "ModelStructure",
    "PreparedPhoto",
    "filter_grid",
    "label_index",
    "require_embedding",
]
