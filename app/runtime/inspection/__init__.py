"""Inspection of a model: the maps of its layers, and explanations of its predictions.

    onnx_graph        an ONNX graph: producers, constants and shapes of its tensors
    onnx_head         the matcher of a pooled linear head, for serving and training alike
    layers            graph -> ModelStructure: the layers, the first layer's filters, the head
    filters           the filters of the first convolution
    layer_sessions    sessions whose only output is a layer
    inspected_models  the structure, head and layer sessions of each loaded model
    prepared_photo    photo -> canvas -> pixels, timed
    class_activation  class activation maps, exact where the head is pooled and linear
    occlusion         maps for any other model, by covering parts of the photo
    explanation       the class activation or occlusion map for one label in one photo
    kernel            a filter that the user defines, applied to the canvas
    drawing           maps, filters and overlays as PNG
    results           the results: embeddings, explanations, maps
    inspector         the entry point, which the API calls

In the service only these modules import `onnx`, on first use: its import takes half a second, which
must not delay the start.
"""

from app.runtime.inspection.drawing import Grid, filter_grid
from app.runtime.inspection.filters import Filters
from app.runtime.inspection.inspector import Inspector, label_index, require_embedding
from app.runtime.inspection.kernel import Kernel
from app.runtime.inspection.layers import Layer, ModelStructure
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
