"""Measuring a model on labelled photos: accuracy, calibration error, and figures per class."""
