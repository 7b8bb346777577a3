"""Score thresholds from the statistics of all scores."""

import math

from scipy.special import erfcinv


def false_positive_threshold(tests: int, std: float, false_positives: float = 1.0, mean: float = 0.0) -> float:
    r"""Return the score that normally distributed noise exceeds `false_positives` times in `tests` tries.

    .. math:: \theta = \mu + \sqrt{2}\, \sigma\, \mathrm{erfc}^{-1}(2 n_\mathrm{fp} / N)

    after Rickgauer, Grigorieff & Denk (2017), eLife 6:e25648.

    Parameters
    ----------
    tests : int
        N, the number of scores: positions × rotations.
    std, mean : float
        Standard deviation σ and mean μ of the scores.
    false_positives : float
        Expected number of false positives, more than 0; at least N/2 gives the mean.

    Examples
    --------
    >>> round(false_positive_threshold(10**9, std=0.1), 4)
    0.5998
    """
    return mean + math.sqrt(2.0) * std * float(erfcinv(min(2.0 * false_positives / tests, 1.0)))
