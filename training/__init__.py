"""Training: a folder of labelled photos becomes a model bundle. Never imported by the service."""
