"""Figures over the trials of ``bench.sweep``: rank correlations, spread, and a plot.

Shape legend: N trials, S seeds of the training, I draws of injected faults, K = N S networks.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from amad.config import Fleet
from amad.engines.tune.sweep_outputs import first_as_good
from amad.evaluation.canvas import PRIMARY_NAME, QUIET, bare, figure_of, title
from amad.evaluation.evaluation_metrics import PRIMARY

VIEWS = {"alone": "the network alone", "detector": "the detector with it"}
FAMILY_COLOUR = {"time": "#0b6e99", "channel": "#c8553d", "mixed": "#588157"}
DRAWS = 2000  # bootstrap resamples for the interval of a rank correlation


def fleet_figures(
    fleet: Fleet, protocols: Sequence[str], untrained: dict, trials: list[dict], seed: int
) -> dict:
    """The report on one fleet; docs/explanation/sweep.md explains its keys."""
    able = [trial for trial in trials if trial["failed"] is None]
    content = {
        "labels": fleet.labels.kind,
        "untrained": untrained,
        "trials": trials,
        "correlation": {},
        "spread": spread_of([np.array(trial["objectives"]) for trial in able]),
        "picked": {},
    }
    if not able:
        return content
    objective = [trial["objective"] for trial in able]
    best = able[first_as_good(objective)]
    for protocol in protocols:
        truth = {view: [trial[PRIMARY][protocol][view] for trial in able] for view in VIEWS}
        content["correlation"][protocol] = {
            view: rank_correlation(objective, values, seed=seed)
            | agreement(objective, values, noise=content["spread"]["faults"])
            for view, values in truth.items()
        }
        content["picked"][protocol] = {
            view: {
                "trial": best["trial"],
                "picked": best[PRIMARY][protocol][view],
                "first": able[0][PRIMARY][protocol][view],
                "untrained": untrained[PRIMARY][protocol][view],
                "mean": float(np.mean(values)),
                "best": float(np.max(values)),
            }
            for view, values in truth.items()
        }
    return content


def rank_correlation(a: Sequence[float], b: Sequence[float], *, seed: int) -> dict:
    """Kendall's tau-b and Spearman's rho of two lists over the same trials, with 95 % intervals.

    The intervals are from a percentile bootstrap over trials, without the resamples in which all
    values of one side are equal. Figures are NaN with fewer than three trials, or where all values
    of one side are equal.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    found: dict = {"trials": len(a)}
    draw = np.random.default_rng(seed).integers(0, max(len(a), 1), size=(DRAWS, len(a)))
    for name, measure in (("kendall", kendall), ("spearman", spearman)):
        found[name], found[f"{name}_interval"] = np.nan, [np.nan, np.nan]
        if len(a) < 3:
            continue
        found[name] = measure(a, b)
        drawn = np.array([measure(a[index], b[index]) for index in draw])
        if np.isfinite(drawn).any():
            found[f"{name}_interval"] = np.nanquantile(drawn, [0.025, 0.975]).tolist()
    return found


def agreement(
    objective: Sequence[float], truth: Sequence[float], *, noise: float | None
) -> dict[str, int | None]:
    """How many pairs of trials the objective tells apart, and how many of those the truth confirms.

    A pair is told apart if its objectives differ by more than twice ``noise``. The order of closer
    trials would change with other faults. The counts are None where the noise is not known.
    """
    if noise is None:
        return {"pairs_apart": None, "pairs_agree": None}
    first, second = np.triu_indices(len(objective), k=1)
    gap, same = (np.asarray(x, float)[first] - np.asarray(x)[second] for x in (objective, truth))
    apart = np.abs(gap) > 2 * noise
    return {"pairs_apart": int(apart.sum()), "pairs_agree": int((gap * same > 0)[apart].sum())}


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b; NaN where all values of one side are equal."""
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the (mid-)ranks; NaN where all values of one side are equal."""
    from scipy.stats import rankdata

    a, b = rankdata(a), rankdata(b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def spread_of(objectives: list[np.ndarray]) -> dict:
    """Standard deviations of the objective by their cause.

    objectives: of each trial, an array (seeds, injections).

    Returns: settings: between trials, without what faults and seeds add to it. faults: between
    draws of faults, without the part that is the same for all networks, so it is the noise in a
    comparison. seeds: between trainings of the same settings. all_alike: between draws of faults,
    the part that is the same for all networks. reliability: share of the variance between trials
    that would stay with other faults.
    """
    empty = dict.fromkeys(("settings", "faults", "seeds", "all_alike", "reliability"))
    if len(objectives) < 2:
        return empty
    value_NSI = np.stack(objectives)
    N, S, draws = value_NSI.shape
    total_N = value_NSI.mean(axis=(1, 2))
    seeds = float(np.mean(value_NSI.mean(axis=2).var(axis=1, ddof=1))) if S > 1 else None
    if draws == 1:
        return empty | {"settings": float(total_N.std(ddof=1)), "seeds": _root(seeds)}
    value_KI = value_NSI.reshape(N * S, draws)
    left_KI = value_KI - value_KI.mean(axis=1, keepdims=True) - value_KI.mean(axis=0)
    left_KI += value_KI.mean()
    faults = float((left_KI**2).sum() / ((N * S - 1) * (draws - 1)))
    noise = seeds / S if seeds is not None else faults / (S * draws)
    settings = max(float(total_N.var(ddof=1)) - noise, 0.0)
    whole = settings + faults
    return {
        "settings": _root(settings),
        "faults": _root(faults),
        "seeds": _root(seeds),
        "all_alike": float(value_KI.mean(axis=0).std(ddof=1)),
        "reliability": settings / whole if whole > 0 else None,
    }


def _root(variance: float | None) -> float | None:
    return None if variance is None else float(np.sqrt(variance))


def draw_sweeps(fleets: dict[str, dict]) -> Figure:
    """Plot objective against VUS-PR, a point per trial, for each fleet, protocol and view."""
    columns = [
        (name, protocol) for name, fleet in fleets.items() for protocol in fleet["correlation"]
    ]
    figure = figure_of(1.0 + 5.0 * len(columns), 8.4)
    panels = figure.subplots(len(VIEWS), len(columns), squeeze=False)
    for column, (name, protocol) in zip(panels.T, columns, strict=True):
        for axes, view in zip(column, VIEWS, strict=True):
            _draw_trials(axes, name, fleets[name], protocol, view)
    return figure


def _draw_trials(axes, name: str, content: dict, protocol: str, view: str) -> None:
    able = [trial for trial in content["trials"] if trial["failed"] is None]
    bare(axes, grid="both")
    for trial in able:
        family = trial["settings"]["mask_family"]
        axes.plot(
            trial["objective"], trial[PRIMARY][protocol][view], "o", markersize=8,
            color=FAMILY_COLOUR[family], label=f"{family} hidden",
        )  # fmt: skip
    start = content["untrained"]
    axes.plot(
        start["objective"], start[PRIMARY][protocol][view], "D", markersize=9,
        color=QUIET, markerfacecolor="none", markeredgewidth=1.6, label="untrained",
    )  # fmt: skip
    axes.set(xlabel="objective: injected faults, no labels", ylabel=PRIMARY_NAME)
    axes.ticklabel_format(useOffset=False)
    axes.margins(0.12)
    known = content["correlation"][protocol][view]
    words = "no rank correlation"
    if known["kendall"] is not None:
        low, high = known["kendall_interval"]
        words = f"tau-b {known['kendall']:.2f} [{low:.2f}, {high:.2f}]"
        if known["pairs_apart"]:
            words += f", {known['pairs_agree']} of {known['pairs_apart']} pairs apart agree"
    title(axes, f"{name}, {protocol}: {VIEWS[view]}", f"{len(able)} trials, {words}")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(handles.values(), handles.keys(), frameon=False, fontsize=9)
