"""What a certainty curve holds and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calib._border.checks import check_option
from calib._border.optional import require
from calib._border.typing import Float64Array
from calib._documents import text
from calib._documents.document import Document, Notes, plain_table

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
        return text.render(Document("Certainty curve", heading, [table, Notes([note])]))

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
    return "-" if np.isnan(value) else f"{value:.4f}"
