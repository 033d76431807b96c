"""The default bundle: published ImageNet weights packaged as a Hubel bundle."""
