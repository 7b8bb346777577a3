"""Score thresholds from the statistics of all scores."""

import math

from scipy.special import erfcinv


def false_positive_threshold(
    tests: int, std: float, false_positives: float = 1.0, mean: float = 0.0, *, bounded: bool = False
) -> float:
    r"""Return the score that noise exceeds `false_positives` times in `tests` tries.

    For normally distributed scores

    .. math:: \theta = \mu + \sqrt{2}\, \sigma\, \mathrm{erfc}^{-1}(2 n_\mathrm{fp} / N)

    (Rickgauer, Grigorieff & Denk (2017), eLife 6:e25648). Correlation coefficients lie in [-1, 1] and are not
    normal, but :math:`\mathrm{artanh}` of them nearly is (Fisher (1915), Biometrika 10:507); for these the
    formula holds on that scale, :math:`\theta = \tanh(\mathrm{artanh}\,\mu + \sqrt{2}\, \sigma\,
    \mathrm{erfc}^{-1}(2 n_\mathrm{fp} / N))`. Both agree within 1 % while θ is below 0.17; on structured
    images, where the first exceeds 1, the second stays meaningful.

    Parameters
    ----------
    tests : int
        N, the number of scores: positions × rotations.
    std, mean : float
        Standard deviation σ and mean μ of the scores.
    false_positives : float
        Expected number of false positives, more than 0; at least N/2 gives the mean.
    bounded : bool
        Whether the scores are correlation coefficients.

    Returns
    -------
    float
        The threshold θ; 0 if nothing was tested.

    Examples
    --------
    >>> round(false_positive_threshold(10**9, std=0.1), 4)
    0.5998
    >>> round(false_positive_threshold(10**9, std=0.1, bounded=True), 4)
    0.5369
    """
    if tests == 0:
        return 0.0
    distance = math.sqrt(2.0) * std * float(erfcinv(min(2.0 * false_positives / tests, 1.0)))
    if not bounded:
        return mean + distance
    # A coefficient of 1 that was computed in floating point may exceed it.
    largest = 1.0 - 1e-12
    return math.tanh(math.atanh(min(max(mean, -largest), largest)) + distance)
