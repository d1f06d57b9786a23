import math
from statistics import NormalDist

import pytest

from analysis.quantiles import t_cdf, t_quantile

# Printed tables: Fisher and Yates, Statistical Tables, III.
TABLE = {1: 12.7062, 2: 4.30265, 3: 3.18245, 5: 2.57058, 10: 2.22814, 30: 2.04227, 120: 1.97993}


@pytest.mark.parametrize(("freedom", "t"), TABLE.items())
def test_quantiles_are_those_of_the_printed_tables(freedom: int, t: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(t, abs=5e-5)
    assert t_quantile(0.025, freedom) == -t_quantile(0.975, freedom)


@pytest.mark.parametrize("t", [-30.0, -1.0, 0.0, 0.3, 2.0, 1e6])
def test_with_one_degree_it_is_the_cauchy_distribution(t: float) -> None:
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2.5, 7, 400])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.999])
def test_quantile_and_distribution_undo_each_other(p: float, freedom: float) -> None:
    assert t_cdf(t_quantile(p, freedom), freedom) == pytest.approx(p, abs=1e-9)


def test_with_many_degrees_it_is_the_normal_distribution() -> None:
    assert t_quantile(0.975, 1e9) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-9)
    assert t_cdf(-math.inf, 3) == 0


def test_without_a_degree_of_freedom_nothing_is_known() -> None:
    assert math.isnan(t_quantile(0.975, 0))
    assert math.isnan(t_cdf(1.0, 0))
