"""How a network reads a pixel: (pixel - 127) / 128, as the EfficientNet-Lite reference does.

The graph does the same as DequantizeLinear, which is exact and costs nothing in either precision.
"""

PIXEL_OFFSET = 127
PIXEL_SCALE = 128
