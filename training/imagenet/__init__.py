"""The default model: published ImageNet weights, packaged as a bundle."""
