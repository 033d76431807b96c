"""Compute two resizes in a row, to the canvas and to the model's input, as one matrix product.

filter_weights (a resize as a matrix, two composed) -> banded_matrix (cut into blocks)
    -> resize_plan (rows and columns, applied to an image)
"""
