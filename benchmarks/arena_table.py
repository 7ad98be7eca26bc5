"""What an arena shows: scores of one experiment, and the table over all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Smallest probability in a log loss: that of float32, as in the public benchmark.
TINY = float(np.finfo(np.float32).tiny)
MEASURES = ("brier", "logloss", "kuiper", "ece-15", "accuracy")
BASE = "base"
#: Changes of a score below this are no change: a floor of 1e-5 under probabilities, or rounding.
ROUNDING = 1e-9


def measures(proba: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the five measures of the public benchmark for probabilities (n, K)."""
    n = len(labels)
    own = proba[np.arange(n), labels]
    brier = float(((proba**2).sum(axis=1) - 2.0 * own + 1.0).mean())
    top = proba.argmax(axis=1)
    confidence, right = proba[np.arange(n), top], top == labels
    out = {
        "brier": brier,
        "logloss": float(-np.log(np.maximum(own, TINY)).mean()),
        "kuiper": float("nan"),
        "ece-15": _ece(confidence, right),
        "accuracy": float(right.mean()),
    }
    if proba.shape[1] == 2:
        order = np.argsort(proba[:, 1], kind="stable")
        path = np.cumsum(labels[order] - proba[order, 1]) / n
        out["kuiper"] = float(max(path.max(), 0.0) - min(path.min(), 0.0))
        out["ece-15"] = _ece(proba[:, 1], labels == 1)
    return out


def _ece(prediction: np.ndarray, event: np.ndarray) -> float:
    cell = np.minimum((prediction * 15).astype(int), 14)
    return float(np.abs(np.bincount(cell, prediction - event, minlength=15)).sum() / len(event))


@dataclass(frozen=True)
class Line:
    """One method over a set of experiments.

    Attributes
    ----------
    method : str
    gain_brier, gain_log : float
        100 times the mean improvement over the base model.
    worse_brier, worse_log : float
        Share of experiments that the method makes worse.
    worst_brier : float
        100 times the least improvement.
    rank, win_rate, elo : float
        Mean rank, share of beaten rivals and Bradley-Terry rating in Brier score.
    failures : int
        Experiments without a valid answer; they count as the base model.
    seconds : float
        Total CPU time of fits and predictions.
    """

    method: str
    gain_brier: float
    gain_log: float
    worse_brier: float
    worse_log: float
    worst_brier: float
    rank: float
    win_rate: float
    elo: float
    failures: int
    seconds: float


def table(results: dict[str, dict[str, dict[str, float]]]) -> list[Line]:
    """Compare methods.

    Parameters
    ----------
    results : dict
        Measures and ``time`` by method and experiment; `BASE` among the methods. A method that
        failed has NaN.

    Returns
    -------
    lines : list of Line
        Best mean gain in Brier score first.
    """
    names = list(results)
    experiments = list(results[BASE])
    brier, log, seconds = (
        np.array([[results[m][e][key] for e in experiments] for m in names])
        for key in ("brier", "logloss", "time")
    )
    base = names.index(BASE)
    failed = ~np.isfinite(brier) | ~np.isfinite(log)
    brier, log = np.where(failed, brier[base], brier), np.where(failed, log[base], log)
    gain_brier, gain_log = 100 * (brier[base] - brier), 100 * (log[base] - log)
    lower = brier[:, None, :] < brier[None, :, :] - 1e-12
    tied = ~lower & ~lower.transpose(1, 0, 2)
    wins = (lower + 0.5 * tied).mean(axis=2)
    np.fill_diagonal(wins, 0.0)
    rank = 1.0 + (lower.sum(axis=0) + 0.5 * (tied.sum(axis=0) - 1)).mean(axis=1)
    rating = elo(wins)
    lines = [
        Line(
            method=name,
            gain_brier=float(gain_brier[i].mean()),
            gain_log=float(gain_log[i].mean()),
            worse_brier=float((gain_brier[i] < -100 * ROUNDING).mean()),
            worse_log=float((gain_log[i] < -100 * ROUNDING).mean()),
            worst_brier=float(gain_brier[i].min()),
            rank=float(rank[i]),
            win_rate=float(lower[i].mean(axis=1).sum() / max(1, len(names) - 1)),
            elo=float(rating[i]),
            failures=int(failed[i].sum()),
            seconds=float(np.nansum(seconds[i])),
        )
        for i, name in enumerate(names)
    ]
    return sorted(lines, key=lambda line: -line.gain_brier)


def elo(wins: np.ndarray) -> np.ndarray:
    """Fit a Bradley-Terry model to shares of wins; scale 400 / ln 10, mean 1000."""
    strength = np.ones(len(wins))
    played = wins + wins.T
    total = wins.sum(axis=1)
    for _ in range(2000):
        shared = played / (strength[:, None] + strength[None, :])
        new = np.maximum(total, 1e-9) / shared.sum(axis=1)
        new /= np.exp(np.log(new).mean())
        if np.abs(np.log(new / strength)).max() < 1e-10:
            break
        strength = new
    return 1000.0 + 400.0 / np.log(10.0) * np.log(strength)


def text(lines: list[Line], title: str) -> str:
    """Return the table as text for a terminal."""
    rows = [title, ""]
    rows.append(
        f"{'method':<34}{'100 phi Brier':>14}{'100 phi log':>12}{'worse':>7}{'worse log':>10}"
        f"{'worst':>8}{'rank':>6}{'win':>6}{'Elo':>6}{'fail':>5}{'CPU s':>9}"
    )
    for x in lines:
        rows.append(
            f"{x.method:<34}{x.gain_brier:>14.3f}{x.gain_log:>12.2f}{x.worse_brier:>7.0%}"
            f"{x.worse_log:>10.0%}{x.worst_brier:>8.2f}{x.rank:>6.1f}{x.win_rate:>6.2f}"
            f"{x.elo:>6.0f}{x.failures:>5}{x.seconds:>9.2f}"
        )
    return "\n".join(rows)
