"""The int8 form of a graph: calibration, rounding and its acceptance."""
