"""Turn a trained network into a bundle on disk."""
