"""Student's t: the probability of a value as far out, and the value that leaves so much beyond it. Pure.

By the incomplete beta function, as a continued fraction evaluated by Lentz's method (Abramowitz and
Stegun 26.5.8, 26.7.1; Thompson and Barnett 1986). Degrees of freedom need not be whole.
"""

import math
from functools import lru_cache

TINY = 1e-300
MOST_STEPS = 500
FARTHEST = 1e8
"""Where the search for a quantile ends."""


def t_tail(value: float, freedom: float) -> float:
    """The probability of a t beyond `value` upwards, with `freedom` > 0 degrees of freedom."""
    if math.isinf(value):
        return 0.0 if value > 0 else 1.0
    square = value * value
    # Both parts as quotients: 1 minus one of them has few digits of the other, near 0 and far out.
    half = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square)) / 2
    return half if value >= 0 else 1 - half


@lru_cache(maxsize=4096)
def t_quantile(freedom: float, share: float) -> float:
    """The t below which `share` lies, 0 < share < 1."""
    if share < 0.5:
        return -t_quantile(freedom, 1 - share)
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > 1 - share and high < FARTHEST:
        low, high = high, high * 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_tail(middle, freedom) > 1 - share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Regularized, I_x(a, b); `rest` is 1 - x."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    if x < (a + 1) / (a + b + 2):
        return math.exp(logs) * _fraction(a, b, x) / a
    return 1 - math.exp(logs) * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    above, below = 1.0, _not_zero(1 - (a + b) * x / (a + 1))
    below = 1 / below
    product = below
    for step in range(1, MOST_STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            below = 1 / _not_zero(1 + term * below)
            above = _not_zero(1 + term / above)
            change = below * above
            product *= change
        if abs(change - 1) < 1e-15:
            break
    return product


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
