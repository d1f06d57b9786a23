"""Student's t distribution, by the incomplete beta function (Numerical Recipes, 6.4)."""

import math
from functools import cache
from statistics import NormalDist

TERMS = 300
"""Terms of the continued fraction at most; it settles within far fewer."""
MANY = 1e7
"""Degrees of freedom from which the normal distribution is the same."""


def t_cdf(t: float, freedom: float) -> float:
    """Return P(T <= t) with so many degrees of `freedom` (above 0, not only whole ones)."""
    if math.isnan(t) or not freedom > 0:
        return math.nan
    if freedom > MANY or math.isinf(t):
        return NormalDist().cdf(t)
    tail = 0.5 * _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)
    return 1 - tail if t > 0 else tail


@cache
def t_quantile(p: float, freedom: float) -> float:
    """Return the t below which a share `p` of the distribution lies, 0 < p < 1; NaN without any
    degree of `freedom`."""
    if not freedom > 0:
        return math.nan
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised one, I_x(a, b)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    # The fraction settles fast on one side of the mean; on the other it is that of 1 - x.
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
