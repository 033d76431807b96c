"""The base of all parts of bundle.json, and the values that several of them hold."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "int8"]
MODEL_FILES: Mapping[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
Task = Literal["single_label", "multi_label"]
"""single_label: exactly one label is right for a photo. multi_label: any number of them."""
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of bundle.json: immutable, without unknown fields, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
