"""Training: turn a folder of labelled photos into a model bundle.

The service never imports this package.
"""
