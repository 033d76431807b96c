"""Compare a new version of a model with the serving one, on photos that are new to both.

serving, candidate, DATA -> Comparison
"""

from training.comparison.two_versions import compare

__all__ = ["compare"]
