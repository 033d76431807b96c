"""Measuring a model on labelled photos."""
