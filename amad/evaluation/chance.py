"""How likely a count is by chance alone, and what mean it speaks for.

SciPy is imported on demand, as it takes a quarter of a second.
"""


def binomial_tail(found: int, tries: int, share: float) -> float:
    """Probability that ``found`` or more of ``tries`` succeed where each does with ``share``.

    For tries of unequal probability it is taken at their mean, where it is the largest (Hoeffding,
    "On the distribution of the number of successes in independent trials", 1956), for all ``found``
    above the mean by one or more.
    """
    from scipy.special import bdtrc

    return float(bdtrc(found - 1, tries, share)) if found else 1.0


def poisson_tail(found: int, expected: float) -> float:
    """Probability of ``found`` or more where ``expected`` come on average, each by itself."""
    from scipy.special import pdtrc

    return float(pdtrc(found - 1, expected)) if found else 1.0


def poisson_interval(found: int, confidence: float) -> tuple[float, float]:
    """(low, high) of the mean of a count of independent incidents of which ``found`` were seen.

    The exact interval (Garwood, "Fiducial limits for the Poisson distribution", 1936).
    """
    from scipy.special import gammaincinv

    tail = (1 - confidence) / 2
    low = float(gammaincinv(found, tail)) if found else 0.0
    return low, float(gammaincinv(found + 1, 1 - tail))
