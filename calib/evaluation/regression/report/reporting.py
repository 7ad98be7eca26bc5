"""`regression_report`: how good predicted distributions are, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_same_length, unit_codes
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import number_vector
from calib._core.distributions.predictive import PredictiveDistribution
from calib.evaluation.regression.curves import coverage_of, pit_histogram
from calib.evaluation.regression.errors import LEVELS, check_distribution
from calib.evaluation.regression.quantiles import calibration_count, uniformity_of
from calib.evaluation.regression.report.measures import (
    MEANS,
    MEASURES,
    ScoredRows,
    correlation,
    uniform_levels,
)
from calib.evaluation.regression.report.records import DistributionReport
from calib.evaluation.regression.report.results import RegressionReport
from calib.evaluation.report.comparison import N_MEAN_DRAWS
from calib.evaluation.report.measure_results import measure_result
from calib.evaluation.report.ranking import draws_of_means, rank
from calib.evaluation.report.records import MeasureResult
from calib.evaluation.sampling.draws import unit_counts
from calib.evaluation.sampling.intervals import (
    Interval,
    chance_p_values,
    chance_ranges,
    mean_ends,
    moments_of,
)

#: Numbers of samples and draws that are held at once.
DRAWN_NUMBERS = 1 << 22


def regression_report(
    y_true: ArrayLike,
    distribution: PredictiveDistribution | Mapping[str, PredictiveDistribution],
    *,
    groups: ArrayLike = None,
    n_calibration: object = None,
    confidence_level: float = 0.95,
    n_resamples: int = 200,
    random_state: RandomState = 0,
) -> RegressionReport:
    """Report how good predicted distributions are, and what is wrong with them beyond chance.

    The answer in one sentence: too sharp, too wide, biased, or no sign of miscalibration. Below it
    scores, coverage and calibration errors, each with its interval and with what chance shows of
    predictions that are right; of several models the differences to the first.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values, finite.
    distribution : PredictiveDistribution, or dict of str to PredictiveDistribution
        Of one model, or of several by name, the first being what the others are compared with.
    groups : array-like of shape (n_samples,), default=None
        Unit (patient, site) of every sample, whose labels may depend on each other: units are drawn
        whole, and redrawn labels are as correlated inside them as the observed.
    n_calibration : int >= 1, fitted conformal predictor or None, default=None
        Calibration samples that all distributions were computed from, whose error they share; see
        `pit_uniformity`. Of several models, that of all.
    confidence_level : float in (0, 1), default=0.95
        Of intervals, and of what chance shows of all measures together.
    n_resamples : int >= 20, default=200
        Bootstrap draws, and redrawn labels.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    report : RegressionReport
        Prints the answer and the table; ``to_html(path)``, ``to_frame()``, ``to_latex()``.

    Raises
    ------
    ValueError
        If `y_true` is not finite or of another length, if a distribution is none or names are no
        texts, for fewer than 2 samples or groups, or for an option out of range.

    See Also
    --------
    predictive_distribution : Distributions from means and standard deviations, quantiles, samples.
    calib.DistributionCalibrator : Repairs what is found.

    Notes
    -----
    What chance shows: labels are redrawn from the predicted distributions and everything is
    measured again. A star marks a measure outside the range that all measures of all models keep
    together in a share `confidence_level` of redraws, so that there is one error rate for the whole
    report; starred measures alone decide the sentence. With `n_calibration` the redrawn levels are
    ranks among as many calibration levels, which is exact for split conformal systems and a good
    approximation for others; the log score is not judged then, because the density between
    calibration points is a guess. Labels that take few values have no log score, which any spike on
    these would win. Chance alone keeps QCE, ENCE and UCE above 0: shown is what is
    left without the part of chance, which the interval holds, and the value as usually computed
    under "All numbers".

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery. Probabilistic forecasts, calibration and
       sharpness. JRSS B 69, 2007. doi:10.1111/j.1467-9868.2007.00587.x
    .. [2] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import predictive_distribution, regression_report
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(size=400)
    >>> y = mean + rng.normal(size=400)
    >>> report = regression_report(y, predictive_distribution(mean=mean, std=np.full(400, 0.5)))
    >>> print(report.headline)
    Too sharp: the 90 % intervals hold 59 % of 400 labels; PIT not uniform (p < 0.001). \
Recalibrate with DistributionCalibrator.
    """
    check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=20, high=MOST_RESAMPLES)
    y = number_vector(y_true, "y_true")
    given = dict(distribution) if isinstance(distribution, Mapping) else {"model": distribution}
    if not given:
        raise ValueError("distribution is an empty dict; pass at least one PredictiveDistribution")
    units = None if groups is None else unit_codes(groups, len(y), "groups", "y_true")
    n_units = len(y) if units is None else int(units.max()) + 1
    if n_units < 2:
        raise ValueError(
            f"a report needs at least 2 {'samples' if units is None else 'groups'}; got {n_units}"
        )
    count = calibration_count(n_calibration)
    rng = generator(random_state)
    samples: dict[str, ScoredRows] = {}
    for name, one in given.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"names of models must be non-empty strings; got {describe(name)}")
        called = f"distribution[{name!r}]" if isinstance(distribution, Mapping) else "distribution"
        check_distribution(one, called)
        check_same_length(len(one), len(y), called, "y_true")
        samples[name] = ScoredRows.of(y, one, rng)
    bootstrap, calibrated = _drawn(samples, units, n_units, count, n_resamples, rng)
    results = _results(samples, bootstrap, calibrated, units, count, confidence_level)
    models = {}
    for name, sample in samples.items():
        pit = uniformity_of(sample.pit, count)
        own = results[name]
        p_value = pit.p_value
        if units is not None:  # the exact law knows independent labels alone
            far = calibrated[name][:, -1] >= own["pit_distance"].value - 1e-12
            p_value = float((1 + far.sum()) / (n_resamples + 1))
        std = np.sqrt(sample.variance)
        width = sample.ends[:, 1, -1] - sample.ends[:, 0, -1]
        models[name] = DistributionReport(
            measures=own,
            pit=pit,
            p_value=p_value,
            histogram=pit_histogram(
                np.clip(sample.pit, 0.0, 1.0),
                n_calibration=count,
                confidence_level=confidence_level,
            ),
            coverage=coverage_of(sample.pit, LEVELS, count, confidence_level),
            mean_std=_mean(std, units, confidence_level, (0.0, np.inf)),
            mean_width=_mean(width, units, confidence_level, (0.0, np.inf)),
            n_infinite=int(np.isinf(width).sum()),
        )
    crps = np.stack([sample.means["crps"] for sample in samples.values()], axis=1)
    draws = draws_of_means(crps, None, units, N_MEAN_DRAWS, rng)
    ranking = rank(crps.mean(axis=0), draws, confidence_level)
    first = next(iter(samples))
    return RegressionReport(
        models=models,
        differences={
            name: _mean(
                sample.means["crps"] - samples[first].means["crps"],
                units,
                confidence_level,
                (-np.inf, np.inf),
            )
            for name, sample in samples.items()
            if name != first
        },
        order=tuple(list(samples)[place] for place in ranking.order),
        may_be_best=tuple(
            name for name, kept in zip(samples, ranking.may_be_best, strict=True) if kept
        ),
        n_samples=len(y),
        n_groups=None if units is None else n_units,
        n_calibration=count,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
    )


def _drawn(
    samples: Mapping[str, ScoredRows],
    units: IntArray | None,
    n_units: int,
    n_calibration: int | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Float64Array], dict[str, Float64Array]]:
    """Return measures on bootstrap draws and with redrawn labels; models share the numbers."""
    n = len(next(iter(samples.values())).pit)
    alike = {
        name: 0.0 if units is None else correlation(sample.pit, units)
        for name, sample in samples.items()
    }
    bootstrap: dict[str, list[Float64Array]] = {name: [] for name in samples}
    calibrated: dict[str, list[Float64Array]] = {name: [] for name in samples}
    for block in row_blocks(n_resamples, n, n_elements=DRAWN_NUMBERS):
        size = block.stop - block.start
        counts = unit_counts(n_units, size, rng).astype(np.float64)
        noise = rng.standard_normal((size, n))
        common = rng.standard_normal((size, n_units if units is not None else 0))
        ranks = None
        if n_calibration is not None:
            ranks = np.sort(rng.random((size, n_calibration)), axis=1)
        for name, sample in samples.items():
            levels = uniform_levels(noise, common, ranks, units, alike[name])
            bootstrap[name].append(sample.bootstrap(counts, units))
            calibrated[name].append(sample.calibrated(levels))
    return (
        {name: np.concatenate(parts) for name, parts in bootstrap.items()},
        {name: np.concatenate(parts) for name, parts in calibrated.items()},
    )


def _results(
    samples: Mapping[str, ScoredRows],
    bootstrap: Mapping[str, Float64Array],
    calibrated: Mapping[str, Float64Array],
    units: IntArray | None,
    n_calibration: int | None,
    confidence_level: float,
) -> dict[str, dict[str, MeasureResult]]:
    """Return the results of all models; chance is one family of all their measures."""
    names = [(model, key) for model, sample in samples.items() for key in sample.names]
    values = np.concatenate([sample.values() for sample in samples.values()])
    redrawn = np.hstack([*calibrated.values()])
    one_sided = np.array([MEASURES[key].error for _, key in names])
    known = np.isfinite(values) & np.isfinite(redrawn).all(axis=0)
    judged = known.copy()
    if n_calibration is not None:  # between calibration points a density is a guess
        judged &= np.array([key != "log_score" for _, key in names])
    low, high = np.full((2, len(values)), np.nan)
    p_values = np.full(len(values), np.nan)
    low[judged], high[judged] = chance_ranges(
        redrawn[:, judged], one_sided[judged], confidence_level
    )
    p_values[judged] = chance_p_values(redrawn[:, judged], one_sided[judged], values[judged])
    low[~judged], high[~judged] = -np.inf, np.inf  # nothing is beyond
    out: dict[str, dict[str, MeasureResult]] = {model: {} for model in samples}
    for column, (model, key) in enumerate(names):
        sample, info = samples[model], MEASURES[key]
        place = sample.names.index(key)
        draws = bootstrap[model]
        moments = None
        if key in MEANS and known[column]:
            moments = moments_of(sample.means[key], None, units)
        has_draws = known[column] and place < draws.shape[1]
        result = measure_result(
            float(values[column]),
            draws[:, place] if has_draws else np.full(len(draws), np.nan),
            redrawn[:, column],
            info,
            confidence_level,
            chance=(float(low[column]), float(high[column])),
            p_value=float(p_values[column]),
            moments=moments,
            law=None,
        )
        if not judged[column]:
            result = replace(result, calibrated=replace(result.calibrated, n_resamples=0))
        out[model][key] = result
    return out


def _mean(
    values: Float64Array,
    units: IntArray | None,
    confidence_level: float,
    bounds: tuple[float, float],
) -> Interval:
    """Return the mean of values with its interval; without ends where a value is infinite."""
    value, low, high, error = float(values.mean()), np.nan, np.nan, np.nan
    if np.isfinite(values).all():
        moments = moments_of(values, None, units)
        low, high = mean_ends(moments, confidence_level, bounds)
        error = float(np.sqrt(moments.square))
    return Interval(value, low, high, confidence_level, value, value, error, 0)
