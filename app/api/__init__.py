"""The HTTP layer: routes, protocols, errors, probes, metrics and docs."""
