"""Student's t. Pure."""

from statistics import NormalDist


def t_quantile(freedom: int, share: float) -> float:
    """Student's t, for at least three degrees of freedom, to 1 %.

    Expansion in powers of 1 / freedom around the normal quantile: Abramowitz and Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
