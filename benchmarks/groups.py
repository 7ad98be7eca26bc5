"""Groups that scores are wrong for: calibrators that read features, and reports by segments.

    python -m benchmarks.groups [census | small | groups | segments]

Census scores (Massachusetts 2015; 14,000 rows to fit, 34,785 to judge). MCGrad stands beside the
calibrators where it is installed, in the same process; times are CPU seconds of one thread.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from calib import AutoCalibrator, GroupCalibrator, MulticalibrationCalibrator
from calib.evaluation import expected_calibration_error, segment_report

FILE = Path(__file__).resolve().parents[2] / "shared/data/groups/employment_ma_2015.npz"
BASES = ("logistic", "boosting")
#: Columns of the census that are ordered numbers.
ORDERED = ("AGEP", "SCHL")


def census() -> dict[str, Any]:
    """Return the file."""
    return dict(np.load(FILE))


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean log loss of probabilities of the event."""
    return float(-np.log(np.maximum(np.where(y == 1, p, 1 - p), 1e-38)).mean())


def partitions(X: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Return seven partitions that people ask for."""
    column = dict(zip(names, X.T, strict=True))
    age = column["AGEP"].astype(int) // 10
    return {
        "age": age,
        "sex": column["SEX"],
        "race": column["RAC1P"],
        "school": column["SCHL"],
        "marital": column["MAR"],
        "age x sex": 10 * age + column["SEX"],
        "disability x age": 20 * column["DIS"].astype(int) + age,
    }


def largest(p: np.ndarray, y: np.ndarray, by: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the largest gap in points, and in standard deviations, of groups of 300 rows."""
    gap, z = 0.0, 0.0
    for values in by.values():
        for level in np.unique(values):
            rows = values == level
            if rows.sum() < 300:
                continue
            residual = y[rows] - p[rows]
            gap = max(gap, 100 * abs(residual.mean()))
            z = max(z, abs(residual.sum()) / np.sqrt((p[rows] * (1 - p[rows])).sum()))
    return gap, z


def mcgrad(data: dict[str, Any], base: str) -> tuple[np.ndarray, float] | None:
    """Return the probabilities of MCGrad with its defaults, and CPU seconds; None without it."""
    try:
        import logging

        import pandas as pd
        from mcgrad.methods import MCGrad
    except ImportError:
        return None
    logging.disable(logging.CRITICAL)
    names = [str(name) for name in data["feature_names"]]
    frame = pd.DataFrame(data["features"], columns=names)
    frame["prediction"] = expit(data[f"score_{base}"].astype(float))
    frame["label"] = data["employed"].astype(int)
    categories = [name for name in names if name not in ORDERED]
    fit, new = data["split"] == 1, data["split"] == 2
    start = time.process_time()
    method = MCGrad()
    method.fit(
        frame[fit].copy(),
        "prediction",
        "label",
        categorical_feature_column_names=categories,
        numerical_feature_column_names=list(ORDERED),
    )
    p = method.predict(frame[new].copy(), "prediction", categories, list(ORDERED))
    return np.asarray(p), time.process_time() - start


def census_table() -> None:
    """Print loss, errors, largest gaps and time of every method on both models."""
    data = census()
    X, y = data["features"].astype(float), data["employed"].astype(int)
    names = [str(name) for name in data["feature_names"]]
    fit, new = data["split"] == 1, data["split"] == 2
    by = partitions(data["features"][new], names)
    columns = {name: data["features"][new][:, k] for k, name in enumerate(names)}
    print("base      method            log loss  ECE    mean gap  worst of 7      off   CPU s")
    for base in BASES:
        s = data[f"score_{base}"].astype(float)
        answers: dict[str, tuple[np.ndarray, float]] = {"scores": (expit(s[new]), 0.0)}
        methods: dict[str, Any] = {
            "auto": AutoCalibrator(input="logits"),
            "multicalibration": MulticalibrationCalibrator(input="logits", n_scores=1),
            "  trees and steps": MulticalibrationCalibrator(
                input="logits", n_scores=1, learners="both"
            ),
            "group, RELP": GroupCalibrator(input="logits", n_scores=1),
        }
        for name, calibrator in methods.items():
            table = np.column_stack([s, X])
            if name == "auto":
                table = s[:, None]
            elif name.startswith("group"):
                table = np.column_stack([s, X[:, names.index("RELP")]])
            start = time.process_time()
            calibrator.fit(table[fit], y[fit])
            p = calibrator.transform(table[new])[:, 1]
            answers[name] = p, time.process_time() - start
        peer = mcgrad(data, base)
        if peer is not None:
            answers["MCGrad"] = peer
        for name, (p, seconds) in answers.items():
            gap, z = largest(p, y[new], by)
            report = segment_report(y[new], p, columns)
            error = expected_calibration_error(y[new], p, average="top_label")
            print(
                f"{base:9s} {name:17s} {log_loss(p, y[new]):.5f}  {100 * error:.2f} %  "
                f"{100 * (y[new].mean() - p.mean()):+.2f}   {gap:4.1f} pt {z:4.1f} sd  "
                f"{report.n_off:3d}  {seconds:.2f}"
            )


def small_samples(n_draws: int = 40) -> None:
    """Print what the guard lets through, of noise and of real features, against `auto`."""
    data = census()
    X, y = data["features"].astype(float), data["employed"].astype(int)
    pool, judged = (np.flatnonzero(data["split"] == k) for k in (1, 2))
    print("n      base      features  passed  mean ratio  worst ratio  log loss (auto)")
    for n in (100, 200, 300, 1000, 3000):
        draws = n_draws if n < 1000 else max(3, n_draws // 8)
        for base in BASES:
            s = data[f"score_{base}"].astype(float)
            for kind in ("noise", "real"):
                rows = []
                for draw in range(draws):
                    rng = np.random.default_rng(draw)
                    fit, new = rng.choice(pool, n, False), rng.choice(judged, 5000, False)
                    read = X[fit][rng.permutation(n)] if kind == "noise" else X[fit]
                    alone = AutoCalibrator(input="logits").fit(s[fit], y[fit])
                    cal = MulticalibrationCalibrator(input="logits", n_scores=1)
                    cal.fit(np.column_stack([s[fit], read]), y[fit])
                    before = log_loss(alone.transform(s[new])[:, 1], y[new])
                    p = cal.transform(np.column_stack([s[new], X[new]]))[:, 1]
                    rows.append([cal.used_, log_loss(p, y[new]) / before, before])
                table = np.array(rows)
                print(
                    f"{n:5d}  {base:9s} {kind:8s}  {table[:, 0].mean():.3f}   "
                    f"{table[:, 1].mean():.4f}      {table[:, 1].max():.3f}       "
                    f"{(table[:, 1] * table[:, 2]).mean():.4f} ({table[:, 2].mean():.4f})"
                )


def group_maps(n_draws: int = 10) -> None:
    """Print `GroupCalibrator` on four partitions and three sizes."""
    data = census()
    X, y = data["features"].astype(float), data["employed"].astype(int)
    names = [str(name) for name in data["feature_names"]]
    pool, new = (np.flatnonzero(data["split"] == k) for k in (1, 2))
    s = data["score_logistic"].astype(float)
    age, relation = X[:, names.index("AGEP")] // 10, X[:, names.index("RELP")]
    made = {
        "marital": X[:, names.index("MAR")],
        "relationship": relation,
        "age band": age,
        "relationship x age": 100 * relation + age,
    }
    print("group                n      group   one line")
    for name, group in made.items():
        for n in (300, 1000, 14_000):
            found = []
            for draw in range(n_draws if n < 14_000 else 1):
                fit = np.random.default_rng(draw).choice(pool, n, False)
                row = []
                for weight in ("cv", np.inf):
                    cal = GroupCalibrator(
                        input="logits", n_scores=1, prior_weight=weight, guard=weight == "cv"
                    )
                    cal.fit(np.column_stack([s[fit], group[fit]]), y[fit])
                    p = cal.transform(np.column_stack([s[new], group[new]]))[:, 1]
                    row.append(log_loss(p, y[new]))
                found.append(row)
            own, pooled = np.mean(found, axis=0)
            print(f"{name:20s} {n:6d}  {own:.4f}  {pooled:.4f}")


def segments_alarms(n_draws: int = 200) -> None:
    """Print how often calibrated census predictions have any segment called off, and the time."""
    data = census()
    p_all, names = expit(data["score_boosting"].astype(float)), data["feature_names"]
    print("rows    pairs  judged  alarms  CPU s")
    for n in (500, 2000, 10_000):
        for pairs in (False, True):
            draws = n_draws if not pairs else max(20, n_draws // 4)
            alarms, judged, seconds = [], [], 0.0
            for draw in range(draws):
                rng = np.random.default_rng(draw)
                rows = rng.choice(len(p_all), n, False)
                by = {str(name): data["features"][rows, k] for k, name in enumerate(names)}
                y = (rng.random(n) < p_all[rows]).astype(int)
                start = time.process_time()
                report = segment_report(y, p_all[rows], by, pairs=pairs, labels=[0, 1])
                seconds += time.process_time() - start
                alarms.append(report.n_off > 0)
                judged.append(report.n_judged)
            print(
                f"{n:6d}  {pairs!s:5}  {np.mean(judged):6.0f}  {np.mean(alarms):.3f}   "
                f"{seconds / draws:.3f}"
            )


def segments_power(n_draws: int = 100) -> None:
    """Print how often a planted segment is found among the columns of the census."""
    data = census()
    p_all, names = expit(data["score_boosting"].astype(float)), data["feature_names"]
    for gap, size in ((0.1, 100), (0.1, 300), (0.1, 1000), (0.05, 1000), (0.05, 3000)):
        found = []
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            rows = rng.choice(len(p_all), 10_000, False)
            p = np.clip(p_all[rows], 0.11, 0.89)
            planted = np.zeros(10_000, dtype=int)
            planted[rng.choice(10_000, size, False)] = 1
            by: dict[str, np.ndarray] = {
                str(name): data["features"][rows, k] for k, name in enumerate(names)
            }
            y = (rng.random(10_000) < p - gap * planted).astype(int)
            report = segment_report(y, p, {**by, "planted": planted})
            row = next(row for row in report.rows if row.segment == "planted = 1")
            found.append(row.state == "off")
        print(f"gap {100 * gap:.0f} points, {size:5d} rows: found in {np.mean(found):.2f}")


def main() -> None:
    """Print what was asked for, or everything."""
    tables = {
        "census": [census_table],
        "small": [small_samples],
        "groups": [group_maps],
        "segments": [segments_alarms, segments_power],
    }
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or tables:
        for table in tables[name]:
            table()
            print()


if __name__ == "__main__":
    main()
