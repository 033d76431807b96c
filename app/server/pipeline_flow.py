"""The flow control of a connection whose requests are pipelined."""

import asyncio
from collections.abc import Sized

from uvicorn.protocols.http.flow_control import FlowControl


class PipelineFlowControl(FlowControl):
    """Flow control that reads nothing while pipelined requests wait for their responses.

    While requests wait, the body of the current one is complete: they come after it.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Resume, unless requests wait."""
        if not self._pipeline:
            super().resume_reading()
