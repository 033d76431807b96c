"""The network architectures, in PyTorch."""
