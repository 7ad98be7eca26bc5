"""How the models of a report stand to each other: which to use, and what got worse by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib._border.typing import Float64Array
from calib.evaluation.report.measures import MeasureInfo
from calib.evaluation.report.ranking import rank, worse_than_reference
from calib.evaluation.report.records import MAIN, Comparison, MeasureResult
from calib.evaluation.sampling.intervals import Interval

#: Draws of means, which cost no pass over the samples.
N_MEAN_DRAWS = 2000


def compared(
    results: Mapping[str, Mapping[str, MeasureResult]],
    information: Mapping[str, MeasureInfo],
    draws: Mapping[str, Float64Array],
    mean_draws: Mapping[str, Float64Array],
    reference: str,
    impossible: bool,
    confidence_level: float,
) -> Comparison:
    """Compare models with the best and with the reference.

    Parameters
    ----------
    results : dict of str to dict of str to MeasureResult
        By model and measure.
    information : dict of str to MeasureInfo
    draws : dict of str to ndarray of shape (n_resamples, n_measures)
        Bootstrap draws per model.
    mean_draws : dict of str to ndarray of shape (n_draws, n_models)
        More draws of the measures that are means, where there are.
    reference : str
    impossible : bool
        Whether a label had probability 0, so that the log loss is infinite.
    confidence_level : float in (0, 1)
    """
    names = list(results)
    stacked = np.stack([draws[name] for name in names])
    rankings = {}
    for column, (key, info) in enumerate(information.items()):
        values = np.array([results[name][key].debiased for name in names])
        if np.isnan(values).any():
            continue
        sign = -1.0 if info.best == "higher" else 1.0
        spread = mean_draws.get(key, stacked[:, :, column].T)
        rankings[key] = rank(sign * values, sign * spread, confidence_level)
    criterion = "brier" if impossible else "log_loss"
    order = tuple(names[place] for place in rankings[criterion].order)
    candidates = [name for name in order if rankings[criterion].may_be_best[names.index(name)]]
    worse = _worse(results, information, stacked, names, reference, confidence_level)
    honest = [
        name
        for name in candidates
        if not any(result.surprises(key) for key, result in results[name].items())
    ]
    candidates = honest or candidates
    unharmed = [name for name in candidates if not worse[name]]
    recommended = reference if reference in candidates else (unharmed or candidates)[0]
    return Comparison(
        reference,
        criterion,
        recommended,
        order,
        rankings,
        worse,
        dict(zip(names, stacked, strict=True)),
    )


def _worse(
    results: Mapping[str, Mapping[str, MeasureResult]],
    information: Mapping[str, MeasureInfo],
    draws: Float64Array,
    names: list[str],
    reference: str,
    confidence_level: float,
) -> dict[str, dict[str, float]]:
    """Return what is worse than the reference beyond chance, by model and measure.

    An error counts as worse if it is so both without the part of chance and without its floor: a
    model of smaller probabilities has a larger floor, which is no fault.
    """
    others = [name for name in names if name != reference]
    keys = [key for key in MAIN if not any(np.isnan(results[name][key].debiased) for name in names)]
    out: dict[str, dict[str, float]] = {name: {} for name in names}
    if not others:
        return out
    place = [list(information).index(key) for key in keys]
    sign = np.array([-1.0 if information[key].best == "higher" else 1.0 for key in keys])
    first = draws[names.index(reference)]
    paired = np.stack(
        [sign * (draws[names.index(name)] - first)[:, place] for name in others], axis=1
    )
    excess = np.empty((len(others), len(keys)))
    for row, name in enumerate(others):
        for column, key in enumerate(keys):
            model, base = results[name][key], results[reference][key]
            without_chance = model.debiased - base.debiased
            over_floor = (model.value - model.floor) - (base.value - base.floor)
            excess[row, column] = sign[column] * (
                min(without_chance, over_floor) if information[key].error else without_chance
            )
    worsening = worse_than_reference(excess, paired, confidence_level)
    for row, name in enumerate(others):
        out[name] = {
            key: float(worsening.at_least[row, column])
            for column, key in enumerate(keys)
            if worsening.worse[row, column]
        }
    return out


def difference(
    result: MeasureResult,
    base: MeasureResult,
    draws: Float64Array,
    base_draws: Float64Array,
    info: MeasureInfo,
) -> Interval:
    """Return one measure of a model minus that of another, with an interval from paired draws.

    What is hard for both models cancels. The number of an error is the difference of what is left
    without the part of chance, and the draws are reflected about it.
    """
    apart = draws - base_draws
    level = result.interval.confidence_level
    value = result.debiased - base.debiased
    tail = (1.0 - level) / 2.0
    noise = apart - apart.mean()
    low, high = (float(end) for end in np.quantile(noise, [tail, 1.0 - tail]))
    if info.error:
        low, high = -high, -low
    reach = info.bounds[1] - info.bounds[0]
    low, high = (float(np.clip(value + end, -reach, reach)) for end in (low, high))
    return Interval(
        value=value,
        low=min(low, value),
        high=max(high, value),
        confidence_level=level,
        mean=float(apart.mean()),
        median=float(np.median(apart)),
        standard_deviation=float(apart.std(ddof=1)),
        n_resamples=len(apart),
        usual=result.value - base.value,
    )
