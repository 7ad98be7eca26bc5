"""What is gained by keeping only predictions that are certain, at thresholds and at equal shares.

Thresholds of two definitions of certainty are not comparable, because their scales differ; shares
kept are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from calib._border.checks import check_integer, check_option, describe
from calib._border.labels import check_same_length
from calib._border.limits import MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import check_score_vector, percent_hint
from calib._core.predictions import check_predictions
from calib._documents import text
from calib._documents.digits import printed
from calib._documents.document import Document, Notes, Verdict, plain_table
from uq.selective.kept_rows import MAX_BINS, PER_BIN, Cut, kept_metrics, kept_weight

METRICS = ("auroc", "auprc", "auprc_gain", "accuracy", "brier", "ace", "ace_calibrated")
TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_gain": "AUPRC minus prevalence",
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "ace": "Adaptive calibration error (ACE)",
    "ace_calibrated": "ACE of a calibrated model",
}
#: Metrics shown in the text form, with the heading of their column.
SHOWN = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy",
    "ace": "ACE",
    "ace_calibrated": "ACE if cal.",
}


@dataclass(frozen=True, eq=False)
class CertaintyPoints:
    """Metrics of the kept samples at several thresholds or shares.

    Attributes
    ----------
    at : ndarray of shape (n_points,)
        Thresholds or shares asked for.
    share : ndarray of shape (n_points,)
        Share of the samples kept.
    n_kept : ndarray of shape (n_points,)
        Samples kept; fractions where a tie was kept in part.
    prevalence : ndarray of shape (n_points,)
        Share of the second class among them, NaN if none is kept.
    metrics : dict of str to ndarray of shape (n_points,)
        Metrics of the kept samples, NaN where they are too few or of one class.
    """

    at: Float64Array
    share: Float64Array
    n_kept: Float64Array
    prevalence: Float64Array
    metrics: dict[str, Float64Array]


@dataclass(frozen=True, eq=False, repr=False)
class CertaintyCurve:
    """Result of `certainty_curve`; printing it shows the table at equal shares.

    Attributes
    ----------
    by_threshold : dict of str to CertaintyPoints
        Per certainty, samples with at least a threshold.
    by_share : dict of str to CertaintyPoints
        Per certainty, an exact share of the samples, most certain first: comparable.
    areas : dict of str to dict of str to float
        Per certainty and metric, the mean height over the shares all certainties have in common;
        NaN where these are fewer than two.
    n_samples : int
        Number of samples.
    min_kept : int
        Fewest samples that give a metric.
    """

    by_threshold: dict[str, CertaintyPoints]
    by_share: dict[str, CertaintyPoints]
    areas: dict[str, dict[str, float]]
    n_samples: int
    min_kept: int

    def __str__(self) -> str:
        groups = {}
        for name, points in self.by_share.items():
            rows = [
                [
                    f"{share:.0%}",
                    f"{points.n_kept[i]:.6g}",
                    _shown(points.prevalence[i]),
                    *(_shown(points.metrics[metric][i]) for metric in SHOWN),
                ]
                for i, share in enumerate(points.at)
            ]
            areas = (_shown(self.areas[name][metric]) for metric in SHOWN)
            groups[name] = [*rows, ["mean over common shares", "", "", *areas]]
        note = (
            f"- where fewer than {self.min_kept} samples or one class only are kept. The last "
            f"column is what a calibrated model would show at this size. AUROC of few samples is "
            f"unstable, AUPRC depends on the prevalence."
        )
        table = plain_table(["share", "kept", "prevalence", *SHOWN.values()], groups)
        heading = f"{self.n_samples:,} samples, most certain kept first"
        headline, bullets = _answer(self)
        return text.text_of(
            Document("Certainty curve", heading, [table, Notes([note])], headline, bullets)
        )

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists and numbers; NaN where there is no metric."""

        def plain(points: CertaintyPoints) -> dict[str, Any]:
            return {
                "at": points.at.tolist(),
                "share": points.share.tolist(),
                "n_kept": points.n_kept.tolist(),
                "prevalence": points.prevalence.tolist(),
                **{metric: values.tolist() for metric, values in points.metrics.items()},
            }

        return {
            "n_samples": self.n_samples,
            "min_kept": self.min_kept,
            "by_threshold": {name: plain(points) for name, points in self.by_threshold.items()},
            "by_share": {name: plain(points) for name, points in self.by_share.items()},
            "areas": {name: dict(areas) for name, areas in self.areas.items()},
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per certainty and point.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``certainty``, ``cut`` ("threshold" or "share"), ``at``, ``share``, ``n_kept``,
            ``prevalence`` and one per metric.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="CertaintyCurve.to_frame")
        parts = [
            pandas.DataFrame(
                {
                    "certainty": name,
                    "cut": cut,
                    "at": points.at,
                    "share": points.share,
                    "n_kept": points.n_kept,
                    "prevalence": points.prevalence,
                    **points.metrics,
                }
            )
            for cut, curves in (("threshold", self.by_threshold), ("share", self.by_share))
            for name, points in curves.items()
        ]
        return pandas.concat(parts, ignore_index=True)

    def plot(
        self,
        ax: Any = None,
        *,
        metric: str = "auroc",
        against: Literal["share", "threshold"] = "share",
    ) -> Any:
        """Draw one metric of all certainties.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        metric : {"auroc", "auprc", "auprc_gain", "accuracy", "brier", "ace", "ace_calibrated"}, \
default="auroc"
            What to draw.
        against : {"share", "threshold"}, default="share"
            Horizontal axis; only shares compare different certainties fairly.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ValueError
            For an unknown metric or axis.
        ImportError
            If matplotlib is not installed.
        """
        check_option("metric", metric, METRICS)
        check_option("against", against, ("share", "threshold"))
        plt = require("matplotlib.pyplot", extra="plot", purpose="CertaintyCurve.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.0, 4.0), layout="constrained")
        curves = self.by_share if against == "share" else self.by_threshold
        for name, points in curves.items():
            ax.plot(points.at, points.metrics[metric], marker="o", markersize=3, label=name)
        label = "Share of samples kept" if against == "share" else "Certainty at least"
        ax.set(xlabel=label, ylabel=TITLES[metric])
        ax.legend()
        return ax


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else printed(value, 4)


_SENTENCES = {
    "rises": "Certainty pays: keeping the most certain {share} raises the accuracy from {all} to "
    "{kept}{by}.",
    "falls": "Do not select by {name}: keeping the most certain {share} lowers the accuracy from "
    "{all} to {kept}.",
    "same": "Certainty brings nothing: keeping the most certain {share} leaves the accuracy at "
    "{all}.",
    "unknown": "Too few samples or one class only: the accuracy is known at fewer than two shares.",
    "areas": "Mean accuracy over common shares: {list}.",
    "samples": "{n} samples.",
}


def _answer(curve: CertaintyCurve) -> tuple[Verdict, list[Verdict]]:
    """Return what keeping the most certain half or so does to the accuracy, and who ranks best."""
    areas = {name: areas["accuracy"] for name, areas in curve.areas.items()}
    ranked = sorted(areas, key=lambda name: -np.nan_to_num(areas[name], nan=-np.inf))
    bullets = [Verdict("samples", _SENTENCES["samples"], {"n": f"{curve.n_samples:,}"})]
    if len(ranked) > 1 and not np.isnan(areas[ranked[0]]):
        told = ", ".join(f"{name} {_shown(areas[name])}" for name in ranked)
        bullets.append(Verdict("areas", _SENTENCES["areas"], {"list": told}))
    name = ranked[0]
    points = curve.by_share[name]
    accuracy = points.metrics["accuracy"]
    known = np.flatnonzero(np.isfinite(accuracy))
    if len(known) < 2:
        return Verdict("unknown", _SENTENCES["unknown"]), bullets
    whole = known[np.argmax(points.at[known])]
    part = known[np.argmin(np.abs(points.at[known] - points.at[whole] / 2))]
    change = accuracy[part] - accuracy[whole]
    case = "rises" if change > 0 else "falls" if change < 0 else "same"
    parameters = {
        "name": name,
        "share": f"{100 * points.share[part]:.3g} %",
        "all": _shown(accuracy[whole]),
        "kept": _shown(accuracy[part]),
        "by": f" by {name}, the best of {len(ranked)}" if len(ranked) > 1 else "",
    }
    return Verdict(case, _SENTENCES[case], parameters), bullets


THRESHOLDS = tuple(np.round(np.arange(0.5, 0.96, 0.05), 2).tolist())
SHARES = tuple(np.round(np.arange(0.1, 1.01, 0.1), 1).tolist())


def certainty_curve(
    y_true: ArrayLike,
    y_prob: ArrayLike | Mapping[str, ArrayLike],
    certainty: ArrayLike | Mapping[str, ArrayLike],
    *,
    thresholds: ArrayLike = THRESHOLDS,
    shares: ArrayLike = SHARES,
    min_kept: int = 10,
    labels: ArrayLike = None,
    pos_label: object = None,
    n_simulations: int = 200,
    random_state: RandomState = None,
) -> CertaintyCurve:
    """Measure a binary model on the samples it is most certain about.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels of two classes.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, 2), or mapping
        Probabilities; a mapping holds one such array per key of `certainty`.
    certainty : array-like of shape (n_samples,), or mapping of str to such
        Larger for more certain: `max_probability_score`, `conformal_confidence` and the others of
        `uq.selective.certainty`. A mapping compares several; a single array is named "certainty".
    thresholds : array-like of shape (n_thresholds,), default=(0.5, 0.55, ..., 0.95)
        Keep samples with at least this certainty.
    shares : array-like of shape (n_shares,) in (0, 1], default=(0.1, 0.2, ..., 1.0)
        Keep exactly this share of the samples, the most certain first.
    min_kept : int >= 1, default=10
        Metrics of fewer samples are NaN.
    labels : array-like of shape (2,), default=None
        Both classes in column order, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    n_simulations : int, 0 or >= 2, default=200
        Label vectors redrawn for the calibration error a calibrated model would show; 0 leaves
        it out (NaN).
    random_state : int, RandomState, Generator or None, default=None
        Seed of the redrawn labels.

    Returns
    -------
    curve : CertaintyCurve
        Metrics at all thresholds and shares, and areas under the metrics over shares.

    Raises
    ------
    ValueError
        For NaN or inf, lengths or keys that differ, other than two classes, or options out of
        range.

    See Also
    --------
    risk_coverage_curve : Losses at every coverage, any number of classes.

    Notes
    -----
    Metrics: AUROC; area under precision and recall as average precision, and the same minus the
    prevalence, because a useless score shows the prevalence of what was kept; accuracy (a
    probability of exactly 1/2 counts half); Brier score; adaptive calibration error (ACE) in
    ``min(10, n_samples // 10)`` ranges per class (at least one) at every point, and what ACE a
    calibrated model would show there: at 20 kept samples that is far from 0. All are NaN
    where fewer than `min_kept` samples or one class only are kept. At a share, samples tied at the
    cut are kept in part, all with the same weight, so the share is exact and the order of rows
    does not matter. Areas are trapezoids over the shares where the metric exists for all
    certainties of the call, divided by the range of these shares. Cost: O(n log n) per point, times
    `n_simulations`.

    References
    ----------
    .. [1] T. Pereira et al. Targeting the Uncertainty of Predictions at Patient-Level Using an
       Ensemble of Classifiers Coupled with Calibration Methods, Venn-ABERS, and Conformal
       Predictors: A Case Study in AD. Journal of Biomedical Informatics 101, 2020, 103350.
       doi:10.1016/j.jbi.2019.103350
    .. [2] P. Puttanawarut, R. Wabina, N. Sirirutbunkajorn. Uncertainty Quantification for Improving
       Radiomic-Based Models in Radiation Pneumonitis Prediction. 2024. arXiv:2412.19511

    Examples
    --------
    >>> import numpy as np
    >>> from uq import certainty_curve
    >>> p = np.linspace(0.01, 0.99, 200)
    >>> y = (np.arange(200) * 0.618 % 1 < p).astype(int)
    >>> curve = certainty_curve(y, p, np.maximum(p, 1 - p), n_simulations=0)
    >>> curve.by_share["certainty"].metrics["accuracy"].round(2)[[0, 4, 9]]
    array([0.95, 0.86, 0.74])
    """
    check_integer("min_kept", min_kept, low=1)
    if check_integer("n_simulations", n_simulations, low=0, high=MOST_RESAMPLES) == 1:
        raise ValueError("n_simulations must be 0 or >= 2; got 1")
    cuts = check_score_vector(thresholds, "thresholds")
    fractions = check_score_vector(shares, "shares")
    if fractions.min() <= 0 or fractions.max() > 1:
        raise ValueError(
            f"shares must lie in (0, 1]; got {fractions.min():g} to {fractions.max():g}"
            f"{percent_hint(fractions)}"
        )
    named = dict(certainty) if isinstance(certainty, Mapping) else {"certainty": certainty}
    if not named:
        raise ValueError("certainty is an empty mapping; pass at least one certainty")
    if isinstance(y_prob, Mapping) and set(y_prob) != set(named):
        raise ValueError(
            f"y_prob and certainty must have the same keys; got {sorted(map(str, y_prob))} and "
            f"{sorted(map(str, named))}"
        )
    seed = generator(random_state)
    curves: dict[Cut, dict[str, CertaintyPoints]] = {"threshold": {}, "share": {}}
    n_samples = 0
    for name, given in named.items():
        codes, proba, _, classes = check_predictions(
            y_true,
            y_prob[name] if isinstance(y_prob, Mapping) else y_prob,
            labels=labels,
            pos_label=pos_label,
        )
        if len(classes) != 2:
            raise ValueError(
                f"certainty curves are for two classes; y_prob has {len(classes)} columns. Use "
                f"risk_coverage_curve"
            )
        positive = np.clip(np.asarray(proba[:, -1], dtype=np.float64), 0.0, 1.0)
        order = check_score_vector(given, f"certainty[{name!r}]" if len(named) > 1 else "certainty")
        if cuts.min() >= 5 and order.min() >= 0 and order.max() <= 1:
            raise ValueError(
                f"thresholds exceed 1 ({describe(cuts.tolist())}), but certainty lies in [0, 1]"
                f"{percent_hint(cuts)}"
            )
        n_samples = len(codes)
        check_same_length(n_samples, len(order), "y_true", "certainty")
        measure = partial(
            _metrics,
            codes,
            positive,
            order,
            min_kept=min_kept,
            n_simulations=n_simulations,
            rng=seed,
        )
        points: tuple[tuple[Cut, Float64Array], ...] = (("threshold", cuts), ("share", fractions))
        for cut, at in points:
            curves[cut][name] = _points(at, [measure(cut=cut, at=value) for value in at])
    return CertaintyCurve(
        by_threshold=curves["threshold"],
        by_share=curves["share"],
        areas=_areas(curves["share"]),
        n_samples=n_samples,
        min_kept=min_kept,
    )


def _metrics(
    codes: IntArray,
    positive: Float64Array,
    certainty: Float64Array,
    *,
    cut: Cut,
    at: float,
    min_kept: int,
    n_simulations: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return all metrics of what is kept."""
    from calib.evaluation import adaptive_calibration_error, consistency_interval

    weight, no_draws = np.ones((1, len(codes))), np.empty((0, len(codes)))
    values, out = kept_metrics(
        codes, positive, certainty, weight, cut=cut, at=at, min_kept=min_kept, uniform=no_draws
    )
    out.update({name: float(value[0]) for name, value in values.items()})
    if n_simulations and np.isfinite(out["auroc"]):
        kept = kept_weight(certainty, weight, cut, at)[0]
        rows = kept > 0
        n_bins = max(1, min(MAX_BINS, len(codes) // PER_BIN))
        out["ace_calibrated"] = consistency_interval(
            partial(adaptive_calibration_error, n_bins=n_bins, labels=[0, 1]),
            positive[rows],
            sample_weight=None if (kept[rows] == 1).all() else kept[rows],
            n_resamples=n_simulations,
            random_state=rng,
        ).mean
    return out


def _points(at: Float64Array, rows: list[dict[str, float]]) -> CertaintyPoints:
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return CertaintyPoints(
        at=at,
        share=table.pop("share"),
        n_kept=table.pop("n_kept"),
        prevalence=table.pop("prevalence"),
        metrics={name: table[name] for name in METRICS},
    )


def _areas(by_share: dict[str, CertaintyPoints]) -> dict[str, dict[str, float]]:
    """Return the mean height of every metric over the shares all certainties have in common."""
    areas: dict[str, dict[str, float]] = {name: {} for name in by_share}
    for metric in METRICS:
        table = np.array([points.metrics[metric] for points in by_share.values()])
        share = next(iter(by_share.values())).at
        order = np.argsort(share, kind="stable")
        common = order[np.isfinite(table[:, order]).all(axis=0)]
        width = share[common[-1]] - share[common[0]] if len(common) else 0.0
        for name, row in zip(by_share, table, strict=True):
            area = np.trapezoid(row[common], share[common]) / width if width > 0 else np.nan
            areas[name][metric] = float(area)
    return areas
