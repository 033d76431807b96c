"""HTTP: Hubel's own API, its errors, probes, metrics and docs."""
