"""Scores on a common scale, 0 to 1 with the threshold at 0.5: `min_max` by the range, `cdf` by the distribution."""

from scorefold.post_processing.normalization import cdf, min_max

__all__ = ["cdf", "min_max"]
