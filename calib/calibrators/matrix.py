"""Vector and matrix scaling: linear maps of all log-probabilities, shrunk towards a temperature."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from calib._border.checks import check_integer
from calib._border.typing import Float64Array
from calib._border.warn import warn
from calib._core.fitted_map import NUMBER, MapTraits
from calib._core.multinomial import LinearForm, MultinomialProblem
from calib._core.rows import Rows
from calib.calibrators.linear_maps import LINEAR_MAP, NO_PENALTY, LinearMapCalibrator
from calib.warnings import CostWarning

#: Unknowns beyond which matrix scaling warns about its cost.
MANY_UNKNOWNS = 50_000
#: Rows from which the shared directions of a thin matrix are taken.
DIRECTION_ROWS = 20_000


class VectorScalingCalibrator(LinearMapCalibrator):
    """Scale and shift the log-probability of every class.

    Structured vector scaling (SVS), the default, first fits one temperature, then lets every class
    depart from it as far as the data pay for. It is safe from a few samples per class to thousands
    of classes, costs little more than a temperature, and is among the best maps of the public
    benchmark for more than two classes. Without structure it is classic vector scaling: better
    only with very many samples.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    structured : bool, default=True
        Whether departures from the temperature are penalised. False is unpenalised maximum
        likelihood.
    strength : float > 0, default=1.0
        Factor of all penalties of the structured form; 1 is the published choice.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to mix the probabilities with the uniform distribution first, at the share that
        `TemperatureCalibrator` chooses, where the map then fits better than without. ``"auto"``
        does so for ``input="proba"``.

    Attributes
    ----------
    temperature_ : float
        Temperature of the first step; 1 without structure.
    coef_ : ndarray of shape (n_classes,)
        Factor of every log-probability.
    intercept_ : ndarray of shape (n_classes,)
        Shift of every class.
    input_smoothing_, tempered_smoothing_, smoothing_ : float
        Share of the uniform distribution mixed in at first, after the temperature, and at the end.
    n_evaluations_ : int
        Passes over the data of the second step.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses.

    Warns
    -----
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    MatrixScalingCalibrator : lets classes read each other's scores.

    Notes
    -----
    With ``z = log(smooth(softmax(logits / T)))`` for the fitted temperature T, minimises the mean
    log loss of ``softmax((1 + v) z + b)`` plus ``(K / n) (|b|^2 + |v|^2)``, where n is the total
    weight. Strictly convex. Time is about ten passes over the scores; memory beyond `X` is at most
    about 150 MB at any size.

    References
    ----------
    .. [1] E. Berta, D. Holzmüller, M. I. Jordan, F. Bach. Structured Matrix Scaling for Multi-Class
       Calibration. AISTATS 2026. arXiv:2511.03685
    .. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks.
       ICML 2017. arXiv:1706.04599

    Examples
    --------
    >>> from calib import VectorScalingCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> cal = VectorScalingCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    >>> cal.transform(scores.logits_test).shape
    (749, 10)
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={**LINEAR_MAP, "coef_": NUMBER.of_shape("classes")}
    )

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        structured: bool = True,
        strength: float = 1.0,
        smooth_input: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.structured = structured
        self.strength = strength
        self.smooth_input = smooth_input

    def _problem(self, rows: Rows, n_classes: int, total: float) -> MultinomialProblem:
        level = self.strength * n_classes / total if self.structured else NO_PENALTY
        return MultinomialProblem(rows, np.full((n_classes, 2), level), LinearForm(full=False))

    def _fit_rows(self, rows: Rows) -> None:
        self._check_structure()
        x = self._fit_linear(rows).x
        self.intercept_, self.coef_ = x[:, 0].copy(), 1.0 + x[:, 1]


class MatrixScalingCalibrator(LinearMapCalibrator):
    """Map the log-probabilities of all classes linearly, shrunk towards a temperature.

    Structured matrix scaling (SMS), the default, is the best map of the public benchmark for more
    than two classes: it can move probability between classes that the model confuses, and falls
    back to one temperature where data are few. Without structure (classic matrix scaling) it
    overfits unless samples outnumber the squared number of classes by far.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    structured : bool, default=True
        Whether departures from the temperature are penalised. False is unpenalised maximum
        likelihood.
    strength : float > 0, default=1.0
        Factor of all penalties of the structured form; 1 is the published choice.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to mix the probabilities with the uniform distribution first, at the share that
        `TemperatureCalibrator` chooses, where the map then fits better than without. ``"auto"``
        does so for ``input="proba"``.
    rank : int >= 1 or None, default=None
        None fits all ``K^2`` coefficients. A number lets classes read each other only through that
        many shared directions, the leading principal components of the log-probabilities, which
        costs about ``rank / K`` of the full fit.

    Attributes
    ----------
    temperature_ : float
        Temperature of the first step; 1 without structure.
    coef_ : ndarray of shape (n_classes, n_classes)
        Matrix W of the map.
    intercept_ : ndarray of shape (n_classes,)
        Shift of every class.
    input_smoothing_, tempered_smoothing_, smoothing_ : float
        Share of the uniform distribution mixed in at first, after the temperature, and at the end.
    n_evaluations_ : int
        Passes over the data of the second step.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, or a `rank` below 1.

    Warns
    -----
    CostWarning
        If more than 50,000 coefficients are fitted; the text says what else to use.
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    VectorScalingCalibrator : the diagonal form, for hundreds of classes and more.

    Notes
    -----
    With ``z = log(smooth(softmax(logits / T)))`` for the fitted temperature T and ``W = I + D``,
    minimises the mean log loss of ``softmax(W z + b)`` plus
    ``(K / n) (|b|^2 + |diag D|^2) + (K (K - 1) / n) |offdiag D|^2``, where n is the total weight:
    each block of coefficients has a prior as heavy as the block is large. With `rank` r, D is a
    diagonal plus ``U P'`` with fixed directions P, and U is penalised by ``K r / n``. Strictly
    convex; a pass takes about ``4 n K^2`` operations and there are about twenty.

    References
    ----------
    .. [1] E. Berta, D. Holzmüller, M. I. Jordan, F. Bach. Structured Matrix Scaling for Multi-Class
       Calibration. AISTATS 2026. arXiv:2511.03685
    .. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks.
       ICML 2017. arXiv:1706.04599

    Examples
    --------
    >>> from calib import MatrixScalingCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> cal = MatrixScalingCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    >>> cal.coef_.shape
    (10, 10)
    """

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        structured: bool = True,
        strength: float = 1.0,
        smooth_input: Literal["auto", True, False] = "auto",
        rank: int | None = None,
    ) -> None:
        super().__init__(input=input)
        self.structured = structured
        self.strength = strength
        self.smooth_input = smooth_input
        self.rank = rank

    def _problem(self, rows: Rows, n_classes: int, total: float) -> MultinomialProblem:
        rank = n_classes if self.rank is None else min(self.rank, n_classes)
        basis = None if self.rank is None else _directions(rows, rank)
        levels = (n_classes / total, n_classes * (rank if basis is not None else n_classes - 1))
        shape = (n_classes, n_classes + 1) if basis is None else (n_classes, 2 + rank)
        penalty = np.full(shape, levels[1] / total)
        own = np.arange(n_classes)
        penalty[:, 0] = levels[0]
        penalty[own, 1 + own if basis is None else np.ones_like(own)] = levels[0]
        penalty *= self.strength
        if not self.structured:
            penalty[:] = NO_PENALTY
        return MultinomialProblem(rows, penalty, LinearForm(basis is None, basis))

    def _fit_rows(self, rows: Rows) -> None:
        self._check_structure()
        if self.rank is not None:
            check_integer("rank", self.rank, low=1)
        n_classes = rows.n_classes
        if self.rank is None and n_classes * (n_classes + 1) > MANY_UNKNOWNS:
            passes = 40.0 * rows.n_samples * n_classes**2 * 4 / 1e10
            warn(
                f"matrix scaling of {n_classes} classes fits {n_classes * (n_classes + 1):,} "
                f"coefficients and may take {passes:,.0f} s; VectorScalingCalibrator or rank=20 "
                f"takes a fraction of that",
                CostWarning,
            )
        fit = self._fit_linear(rows)
        x, basis = fit.x, fit.problem.form.basis
        self.intercept_ = x[:, 0].copy()
        if basis is None:
            self.coef_ = np.eye(n_classes) + x[:, 1:]
        else:
            self.coef_ = np.diag(1.0 + x[:, 1]) + x[:, 2:] @ basis.T


def _directions(rows: Rows, rank: int) -> Float64Array:
    """Return the leading principal directions of the logits, shape (n_classes, rank)."""
    part = rows.every(max(1, rows.n_samples // DIRECTION_ROWS)).part
    z = part.source.block(slice(0, part.n_samples))
    z = z - z.mean(axis=1, keepdims=True)
    z -= z.mean(axis=0)
    _, vectors = np.linalg.eigh(z.T @ z)
    leading = vectors[:, ::-1][:, :rank]
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(rank)])
    return np.ascontiguousarray(leading * signs)
