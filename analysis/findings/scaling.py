"""How does loss fall with compute?"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import formats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable

SCHEMA: Schema = {
    "trial": Column("int64", "number of a complete trial on the frontier"),
    "flops": Column("float64", "operations of the whole training"),
    "value": Column("float64", "objective"),
    "fitted": Column("float64", "objective by the fitted law"),
}
ID, TITLE = "scaling", "How does loss fall with compute?"
HOW = (
    "L = E + A / C^alpha on the complete trials that none with less compute is better than: least "
    "squares of E and A, both at least 0, for each alpha of a grid from 0.01 to 1; the interval "
    "is 10 to 90 % over 200 bootstrapped sets of these trials (form: Hoffmann et al. 2022)."
)
NEEDED, SPAN = 5, 10
ALPHAS = np.round(np.arange(0.01, 1.005, 0.01), 2)
BOOTSTRAPS = 200
Array = npt.NDArray[np.float64]


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the frontier and the law fitted to it, where it spans enough to have one."""
    if not (sweep.minimize and sweep.ranking.loss and sweep.ranking.unit):
        return unknown(ID, TITLE, "It is told for losses alone.", SCHEMA, HOW)
    edge = frontier(comparable(sweep.trials))
    span = edge["flops"].max() / edge["flops"].min() if len(edge) else math.nan
    if len(edge) < NEEDED or not span >= SPAN:
        said = f"over {formats.count(span)} times the compute" if len(edge) > 1 else "no span"
        return unknown(
            ID,
            TITLE,
            f"Not told: it takes {NEEDED} trials on the frontier over {SPAN} times the compute; "
            f"there are {len(edge)}, {said}.",
            SCHEMA,
            HOW,
        )
    compute, losses = edge["flops"].to_numpy(), edge["value"].to_numpy()
    alpha, floor, scale, fitted = fit(compute, losses)
    low, high = _spread(compute, losses)
    table = frame(edge.assign(fitted=fitted).to_dict("records"), SCHEMA)
    answer = (
        f"As compute to the power of -{alpha:.2f} (10 to 90 %: {low:.2f} to {high:.2f}), towards "
        f"{formats.loss(floor)} nats; ten times the compute of the largest is expected to give "
        f"{formats.loss(floor + scale / (10 * compute.max()) ** alpha)}."
    )
    facts = {"alpha": alpha, "floor": floor}
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, facts=facts)


def frontier(trials: pd.DataFrame) -> pd.DataFrame:
    """Return `trial`, `flops` and `value` of those that none with as little compute is better than,
    the least compute first."""
    known = trials[trials["flops"] > 0].sort_values(["flops", "value", "trial"])
    best = known["value"].cummin()
    return known.loc[(known["value"] == best) & (best < best.shift(fill_value=math.inf))][
        ["trial", "flops", "value"]
    ]


def fit(compute: Array, losses: Array) -> tuple[float, float, float, Array]:
    """Return alpha, E, A and the fitted losses of L = E + A / C^alpha."""
    best: tuple[float, float, float, float] | None = None
    for alpha in ALPHAS:
        x = compute**-alpha
        width = float(((x - x.mean()) ** 2).sum())
        scale = float(((x - x.mean()) * (losses - losses.mean())).sum()) / width if width else 0.0
        scale = max(0.0, scale)
        floor = float(losses.mean() - scale * x.mean())
        if floor < 0:
            floor, scale = 0.0, float((x * losses).sum() / (x * x).sum())
        error = float(((floor + scale * x - losses) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, float(alpha), floor, scale)
    assert best is not None
    _, alpha, floor, scale = best
    return alpha, floor, scale, floor + scale * compute**-alpha


def _spread(compute: Array, losses: Array) -> tuple[float, float]:
    rng, drawn = np.random.default_rng(0), []
    for _ in range(BOOTSTRAPS):
        chosen = rng.integers(0, len(losses), len(losses))
        if len(np.unique(chosen)) > 2:
            drawn.append(fit(compute[chosen], losses[chosen])[0])
    low, high = np.quantile(drawn, [0.1, 0.9])
    return float(low), float(high)
