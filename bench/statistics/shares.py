"""What samples that depend on each other say of a share, and Student's t. Pure.

How much clusters of samples differ says what the samples are worth (the design effect; Kish 1965). A share's
interval is Wilson's (1927) for so many independent samples.
"""

import math
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


def t_quantile(freedom: int, share: float) -> float:
    """Student's t, for at least three degrees of freedom, to 1 %.

    Expansion in powers of 1 / freedom around the normal quantile: Abramowitz and Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def design_effect(clusters: list[list[int]], share: float) -> float:
    """How many times the variance of a share exceeds that of independent samples; at least 1.

    `clusters`: how many samples of each have the property, and how many it has.
    """
    samples = sum(total for _, total in clusters)
    independent = share * (1 - share) / samples if samples else 0.0
    if independent <= 0 or len(clusters) < 2:
        return 1.0
    residuals = sum((having - share * total) ** 2 for having, total in clusters)
    between = len(clusters) / (len(clusters) - 1) * residuals / samples**2
    return max(1.0, between / independent)


def wilson(share: float, samples: float) -> tuple[float, float]:
    """Wilson's score interval of a share of so many independent samples."""
    centre = (share + Z**2 / (2 * samples)) / (1 + Z**2 / samples)
    half = Z * math.sqrt(share * (1 - share) / samples + Z**2 / (4 * samples**2)) / (1 + Z**2 / samples)
    return max(0.0, centre - half), min(1.0, centre + half)
