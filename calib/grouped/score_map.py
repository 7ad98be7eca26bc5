"""Fitted maps compiled for inference: a few array operations for all classes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.typing import Array, Float64Array, IntArray, Namespace
from calib._core import links
from calib.base import BaseCalibrator
from calib.grouped.maps import SCORE_CLIP, IdentityCalibrator, LinearCalibrator, cut
from calib.grouped.pooling import ClassMaps
from calib.registry import name_of

Kind: TypeAlias = Literal["logistic", "linear", "curves", "any"]


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """What `DetectionCalibrator` does to scores, without its checks.

    Call it with scores and class labels, both of shape (n_detections,); it returns the calibrated
    scores. Made by ``DetectionCalibrator.score_map()`` for the inner loop of a running detector: a
    hundred detections take some 30 microseconds where the map is affine or piecewise linear in
    every class (temperature, Platt, linear, isotonic), one evaluation per class otherwise.

    Attributes
    ----------
    kind : {"logistic", "linear", "curves", "any"}
        How the map is evaluated.
    classes : ndarray of int of shape (n_known,)
        Classes that were seen at fit, ascending. All others take the pooled map.
    row : ndarray of int of shape (n_known,)
        Row of the tables for each of them.
    tables : dict of str to ndarray
        Coefficients, or knots and values, one row per map; the last row is the pooled map.
    parts : tuple of (BaseCalibrator, float)
        For ``kind="any"``: map and weight in the mixture with the pooled map, which comes last.
    """

    kind: Kind
    classes: IntArray
    row: IntArray
    tables: Mapping[str, Any]
    parts: tuple[tuple[BaseCalibrator, float], ...]

    @classmethod
    def compile(cls, maps: ClassMaps, classes: IntArray) -> ScoreMap:
        """Bring fitted maps into tables where their form allows it.

        Parameters
        ----------
        maps : ClassMaps
            Fitted maps.
        classes : ndarray of int
            Classes seen at fit, ascending.

        Returns
        -------
        score_map : ScoreMap
        """
        own = sorted(maps.own)
        places = {label: place for place, label in enumerate(own)}
        row = np.array([places.get(label, len(own)) for label in classes.tolist()], dtype=np.intp)
        parts = (*((maps.own[label], maps.share[label]) for label in own), (maps.pooled, 1.0))
        for kind, build in (("logistic", _affine), ("linear", _linear), ("curves", _curves)):
            tables = build(parts)
            if tables is not None:
                return cls(kind, classes, row, tables, ())  # type: ignore[arg-type]
        return cls("any", classes, row, {}, parts)

    def __call__(
        self, scores: Float64Array, labels: IntArray, features: Float64Array | None = None
    ) -> Float64Array:
        """Map scores.

        Parameters
        ----------
        scores : ndarray of shape (n_detections,)
            Raw scores in [0, 1]; not checked.
        labels : ndarray of int of shape (n_detections,)
            Class of each detection.
        features : ndarray of shape (n_detections, n_features), default=None
            What the calibrator reads beside the score.

        Returns
        -------
        calibrated : ndarray of shape (n_detections,)
        """
        rows = self.rows(labels)
        if self.kind == "any":
            return self._part_by_part(scores, rows, features)
        out: Float64Array = evaluate_tables(self.kind, self.tables, scores, rows, np)
        return out

    def rows(self, labels: IntArray) -> IntArray:
        """Return the row of the tables for each label; unknown classes take the last one."""
        rows: IntArray = class_rows(self.classes, self.row, self.last_row, labels, np)
        return rows

    @property
    def last_row(self) -> int:
        """Row of the pooled map."""
        table = {"any": "", "curves": "start"}.get(self.kind, "slope")
        return len(self.tables[table] if table else self.parts) - 1

    def _part_by_part(
        self, scores: Float64Array, rows: IntArray, features: Float64Array | None
    ) -> Float64Array:
        X = scores[:, None] if features is None else np.column_stack([scores, features])
        out = np.empty(len(scores))
        if not len(scores):
            return out
        mixed = np.array([share < 1 for _, share in self.parts])
        mixed[-1] = True  # rows that need the pooled map
        common = mixed[rows]
        if common.any():
            out[common] = apply_tables(self.parts[-1][0], X[common])
        order = np.argsort(rows, kind="stable")
        present, first = np.unique(rows[order], return_index=True)
        for place, part in zip(present.tolist(), np.split(order, first[1:]), strict=True):
            if place == len(self.parts) - 1:
                continue
            calibrator, share = self.parts[place]
            own = apply_tables(calibrator, X[part])
            out[part] = own if share == 1 else share * own + (1 - share) * out[part]
        return out


def apply_tables(calibrator: BaseCalibrator, X: Float64Array) -> Float64Array:
    """Return the probability of the second class, with extreme scores cut as at fit."""
    X = cut(calibrator, X[:, : calibrator.n_features_in_])
    proba: Float64Array = calibrator.map_checked(X)[:, 1]
    return proba


def class_rows(classes: Array, row: Array, last: int, labels: Array, xp: Namespace) -> Array:
    """Return the row of the tables for each label; unknown classes take the last one.

    Parameters
    ----------
    classes, row : array of int of shape (n_known,)
        As in `ScoreMap`.
    last : int
        Row of the pooled map.
    labels : array of int of shape (n,)
    xp : namespace

    Returns
    -------
    rows : array of int of shape (n,)
    """
    if not classes.shape[0]:
        return xp.zeros_like(labels)
    place = links.places(classes[:-1], labels, "left", xp)
    return xp.where(classes[place] == labels, row[place], last)


def cut_columns(calibrator: BaseCalibrator, columns: Array, xp: Namespace) -> Array:
    """Return the columns that a map reads, with scores off 0 and 1 if it takes their log-odds."""
    columns = columns[:, : calibrator.n_features_in_]
    if calibrator.traits.domain == "proba":
        return columns
    first = xp.clip(columns[:, :1], SCORE_CLIP, 1 - SCORE_CLIP)
    return xp.concat([first, columns[:, 1:]], axis=1) if columns.shape[1] > 1 else first


def mixture(
    part: Callable[[int], Array], shares: Sequence[float], rows: Array, xp: Namespace
) -> Array:
    """Mix the map of every class with the pooled map, evaluating all maps on all rows.

    Parameters
    ----------
    part : callable
        From the place of a map to its probabilities of all rows, shape (n,).
    shares : sequence of float
        Weight of every map in the mixture with the last one.
    rows : array of int of shape (n,)
        Place of the map of each row.
    xp : namespace

    Returns
    -------
    mixed : array of shape (n,)
    """
    pooled = out = part(len(shares) - 1)
    for place, share in enumerate(shares[:-1]):
        out = xp.where(rows == place, share * part(place) + (1 - share) * pooled, out)
    return out


def evaluate_tables(
    kind: str, tables: Mapping[str, Array], p: Array, rows: Array, xp: Namespace
) -> Array:
    """Map scores by the rows of the tables; pure, for any array namespace, in float64.

    Parameters
    ----------
    kind : {"logistic", "linear", "curves"}
    tables : mapping of str to array
        As in `ScoreMap`.
    p : array of shape (n,)
        Scores in [0, 1].
    rows : array of int of shape (n,)
        Row of the tables for each score.
    xp : namespace

    Returns
    -------
    calibrated : array of shape (n,)
    """
    if kind == "curves":
        return _interpolate(tables, p, rows, xp)
    slope, intercept = tables["slope"][rows], tables["intercept"][rows]
    if kind == "linear":
        return xp.clip(intercept + slope * p, 0.0, 1.0)
    clipped = xp.clip(p, SCORE_CLIP, 1 - SCORE_CLIP)
    s = xp.log(clipped) - xp.log(1 - clipped)
    if "input_smoothing" in tables:
        s = links.bounded_log_odds(s, tables["input_smoothing"][rows], xp)
    q = links.expit(intercept + slope * s, xp)
    share = tables["smoothing"][rows]
    return (1 - share) * q + 0.5 * share


def _interpolate(tables: Mapping[str, Array], p: Array, rows: Array, xp: Namespace) -> Array:
    """Interpolate in the curve of each row; all curves lie in one table, one after the other.

    The search runs on ``2 row + knot``, which ascends through all curves. Rounding of that sum may
    put a score one knot too far; comparing with the knots themselves repairs it.
    """
    knots, values = tables["knots"], tables["values"]
    first, last = tables["start"][rows], tables["stop"][rows] - 2
    found = links.places(tables["keys"], 2.0 * rows + p, "right", xp) - 1
    found = xp.minimum(xp.maximum(found, first), last)
    found = found - xp.where(knots[found] > p, 1, 0)
    found = xp.minimum(xp.maximum(found, first), last)
    x0, y0 = knots[found], values[found]
    width = knots[found + 1] - x0
    flat = width <= 0
    share = xp.clip((p - x0) / xp.where(flat, xp.ones_like(width), width), 0.0, 1.0)
    return y0 + share * (values[found + 1] - y0)


# ---------------------------------------------------------------------- from maps to tables

Parts: TypeAlias = tuple[tuple[BaseCalibrator, float], ...]


def _affine(parts: Parts) -> dict[str, Float64Array] | None:
    """Return slopes and intercepts on the log-odds, None unless every map has them."""
    rows = []
    for calibrator, share in parts:
        name = name_of(calibrator)
        if share < 1 or name not in ("platt", "temperature"):
            return None
        cal = calibrator.fitted_map.arrays
        bound = np.ravel(cal["input_smoothing_"])[0]
        if name == "platt":
            rows.append((cal["slope_"][0], cal["intercept_"][0], 0.0, bound))
        else:
            rows.append((1.0 / cal["temperature_"], 0.0, cal["smoothing_"], bound))
    names = ("slope", "intercept", "smoothing", "input_smoothing")
    tables = dict(zip(names, np.array(rows, dtype=np.float64).T.copy(), strict=True))
    if not tables["input_smoothing"].any():
        del tables["input_smoothing"]
    return tables


def _linear(parts: Parts) -> dict[str, Float64Array] | None:
    """Return slopes and intercepts on the score, None unless every map has them."""
    rows = []
    for calibrator, share in parts:
        if share < 1 or not isinstance(calibrator, LinearCalibrator):
            return None
        rows.append((calibrator.slope_, calibrator.intercept_))
    return dict(zip(("slope", "intercept"), np.array(rows).T.copy(), strict=True))


def _curves(parts: Parts) -> dict[str, Any] | None:
    """Return knots and values of all mixtures, None unless every map is piecewise linear."""
    single = [curve for calibrator, _ in parts if (curve := _curve(calibrator)) is not None]
    if len(single) < len(parts):
        return None
    common = single[-1]
    knots, values, sizes = [], [], []
    for (x, y), (_, share) in zip(single, parts, strict=True):
        if share < 1:
            both = np.union1d(x, common[0])
            y = share * np.interp(both, x, y) + (1 - share) * np.interp(both, *common)
            x = both
        if len(x) == 1:
            x, y = np.repeat(x, 2), np.repeat(y, 2)
        knots.append(x)
        values.append(y)
        sizes.append(len(x))
    stop = np.cumsum(sizes)
    shift = np.repeat(2.0 * np.arange(len(sizes)), sizes)
    flat = np.concatenate(knots)
    return {
        "knots": flat,
        "values": np.concatenate(values),
        "keys": flat + shift,
        "start": stop - sizes,
        "stop": stop,
    }


def _curve(calibrator: BaseCalibrator) -> tuple[Float64Array, Float64Array] | None:
    """Return knots and values of a piecewise linear map, None for any other."""
    if isinstance(calibrator, IdentityCalibrator):
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    if name_of(calibrator) != "isotonic":
        return None
    cal = calibrator.fitted_map.arrays
    smooth = float(cal["smoothing_"])
    return cal["knots_"][0], (1 - smooth) * cal["values_"][0] + 0.5 * smooth
