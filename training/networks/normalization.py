"""The normalisation of pixels: (pixel - 127) / 128, as in the EfficientNet-Lite reference.

The graph computes it as DequantizeLinear, which is exact, and is fused away in int8.
"""

PIXEL_OFFSET = 127
PIXEL_SCALE = 128
