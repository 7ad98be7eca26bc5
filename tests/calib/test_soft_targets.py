"""Soft targets: a distribution of the classes of every row."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    CalibrationWarning,
    DegenerateScoresWarning,
    make_calibrator,
)

#: Without features they are "auto".
READ_FEATURES = ("multicalibration", "group")


def scores_and_shares(n: int = 240, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(n, k))
    return z, softmax(z / 1.5 + rng.normal(size=(n, k)), axis=1)


@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_one_hot_equals_labels(method: str) -> None:
    z, t = scores_and_shares()
    y = t.argmax(axis=1)
    hot = make_calibrator(method, input="logits").fit(z, np.eye(3)[y])
    hard = make_calibrator(method, input="logits").fit(z, y)
    np.testing.assert_allclose(hot.transform(z), hard.transform(z), atol=1e-12)


@pytest.mark.parametrize("method", ["temperature", "platt", "matrix_scaling", "isotonic"])
def test_equal_split_weights(method: str) -> None:
    z, t = scores_and_shares()
    soft = make_calibrator(method, input="logits").fit(z, t)
    hard = make_calibrator(method, input="logits").fit(
        np.repeat(z, 3, axis=0), np.tile(np.arange(3), len(z)), sample_weight=t.ravel()
    )
    np.testing.assert_allclose(soft.transform(z), hard.transform(z), atol=1e-8)


def copies_of(shares: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return rows, labels and weights of a copy for every class that has a share."""
    rows, codes = np.nonzero(shares > 0)
    return rows, codes, weight[rows] * shares[rows, codes]


#: Maps whose fit sees a sum over copies: copies that the user makes are the same.
SUMS = (
    "temperature",
    "platt",
    "quadratic",
    "beta",
    "empirical_bayes",
    "spline",
    "histogram",
    "ensemble_temperature",
    "isotonic",
    "vector_scaling",
    "matrix_scaling",
)


@pytest.mark.parametrize("kind", ["logits", "proba"])
@pytest.mark.parametrize("method", SUMS)
def test_equal_weighted_copies(method: str, kind: str) -> None:
    z, t = scores_and_shares(k=4)
    t[::3, 1] = 0.0
    t[::5] = np.eye(4)[t[::5].argmax(axis=1)]
    t /= t.sum(axis=1, keepdims=True)
    weight = np.random.default_rng(1).uniform(0.2, 3.0, len(z))
    weight[:7] = 0.0
    rows, codes, share = copies_of(t, weight)
    x = softmax(z, axis=1) if kind == "proba" else z
    soft = make_calibrator(method, input=kind).fit(x, t, sample_weight=weight)
    hard = make_calibrator(method, input=kind).fit(x[rows], codes, sample_weight=share)
    np.testing.assert_allclose(soft.transform(x), hard.transform(x), atol=1e-8)


def test_equal_weighted_copies_where_a_penalty_is_known() -> None:
    z, t = scores_and_shares()
    rows, codes, share = copies_of(t, np.ones(len(z)))
    soft = make_calibrator("dirichlet", input="logits", penalty=1e-3).fit(z, t)
    hard = make_calibrator("dirichlet", input="logits", penalty=1e-3)
    hard.fit(z[rows], codes, sample_weight=share)
    np.testing.assert_allclose(soft.transform(z), hard.transform(z), atol=1e-8)


@pytest.mark.parametrize("method", SUMS)
def test_equal_weighted_copies_where_classes_are_excluded(method: str) -> None:
    z, t = scores_and_shares(k=4)
    hidden = np.random.default_rng(2).random(z.shape) < 0.3
    hidden[np.arange(len(z)), t.argmax(axis=1)] = False
    z[hidden], t[hidden] = -np.inf, 0.0
    t /= t.sum(axis=1, keepdims=True)
    rows, codes, share = copies_of(t, np.ones(len(z)))
    soft = make_calibrator(method, input="logits").fit(z, t).transform(z)
    hard = make_calibrator(method, input="logits").fit(z[rows], codes, sample_weight=share)
    np.testing.assert_allclose(soft, hard.transform(z), atol=1e-8)
    assert (soft[hidden] == 0.0).all()


@pytest.mark.parametrize("method", ["temperature", "vector_scaling", "matrix_scaling", "platt"])
def test_a_fit_makes_no_copies(method: str) -> None:
    """They would take 64 MB here, and as many times longer as there are classes."""
    z, t = scores_and_shares(n=20_000, k=20)
    tracemalloc.start()
    make_calibrator(method, input="logits").fit(z, t)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6


@pytest.mark.parametrize("method", ["auto", "dirichlet", "h_calibration"])
def test_folds_do_not_tell_copies_of_rows_from_weights(method: str) -> None:
    """An integer weight is repetition, and the order of rows changes nothing."""
    rng = np.random.default_rng(3)
    z = 0.5 * rng.normal(size=(60, 3))
    t = rng.dirichlet(np.full(3, 0.3), size=60)
    soft = make_calibrator(method, input="logits").fit(z, t)
    order = rng.permutation(60)
    again = make_calibrator(method, input="logits").fit(z[order], t[order])
    np.testing.assert_allclose(soft.transform(z), again.transform(z), atol=1e-8)
    twice = make_calibrator(method, input="logits").fit(np.tile(z, (2, 1)), np.tile(t, (2, 1)))
    weighted = make_calibrator(method, input="logits").fit(z, t, sample_weight=np.full(60, 2.0))
    np.testing.assert_allclose(twice.transform(z), weighted.transform(z), atol=1e-8)


def test_a_split_point_equals_its_fit_to_as_many_labels() -> None:
    z, t = scores_and_shares()
    t = np.round(4 * t) / 4
    t[:, 0] += 1.0 - t.sum(axis=1)
    t = np.abs(t) / np.abs(t).sum(axis=1, keepdims=True)
    rows, codes, share = copies_of(t, np.ones(len(z)))
    options = {"input": "logits", "shrinkage": 0.2}
    soft = make_calibrator("split_point", **options).fit(z, t)
    hard = make_calibrator("split_point", **options).fit(z[rows], codes, sample_weight=share)
    np.testing.assert_allclose(soft.transform(z), hard.transform(z), atol=1e-3)


def test_each_nth_row_is_of_every_class() -> None:
    """Large sets are thinned: copies that follow each other would all be of one class."""
    z, t = scores_and_shares(n=30_000, k=10)
    cal = make_calibrator("auto", input="logits").fit(z, t)
    t = t[:2000]
    fitted, raw = cal.transform(z[:2000]), softmax(z[:2000], axis=1)
    assert -(t * np.log(fitted)).sum(axis=1).mean() < -(t * np.log(raw)).sum(axis=1).mean() - 0.02


def test_a_record_counts_rows_not_copies() -> None:
    z, t = scores_and_shares()
    assert make_calibrator("platt", input="logits").fit(z, t).fit_record_.n_rows == len(z)


@pytest.mark.parametrize("k", [2, 3])
def test_venn_abers_says_that_its_validity_is_lost(k: int) -> None:
    z, t = scores_and_shares(k=k)
    with pytest.warns(CalibrationWarning, match="validity of Venn-ABERS"):
        make_calibrator("venn_abers", input="logits").fit(z, t)


@pytest.mark.parametrize("method", [name for name in CALIBRATORS if name != "venn_abers"])
def test_two_classes_of_one_column(method: str) -> None:
    """A matrix of two columns equals fractions; `pos_label` says whose score a column is."""
    z, t = scores_and_shares(k=2)
    z = z[:, 1:] - z[:, :1]
    both = make_calibrator(method, input="logits").fit(z, t)
    if both.soft_targets:
        second = make_calibrator(method, input="logits").fit(z, t[:, 1])
        np.testing.assert_allclose(both.transform(z), second.transform(z), atol=1e-9)
    other = make_calibrator(method, input="logits").fit(-z, t, pos_label=0)
    assert other.classes_.tolist() == [1, 0]
    np.testing.assert_allclose(other.transform(-z)[:, ::-1], both.transform(z), atol=1e-8)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_two_classes_equal_fractions(method: str) -> None:
    z, t = scores_and_shares(k=2)
    both = make_calibrator(method, input="logits").fit(z, t)
    second = make_calibrator(method, input="logits").fit(z, t[:, 1])
    np.testing.assert_allclose(both.transform(z), second.transform(z), atol=1e-8)


@pytest.mark.filterwarnings("ignore:y holds soft targets")
@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_two_classes_equal_weighted_pairs(method: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((300, 1))
    t = np.round(np.clip(x[:, 0] ** 2 + rng.normal(0, 0.1, 300), 0, 1), 2)
    cal = make_calibrator(method).fit(x, np.stack([1 - t, t], axis=1))
    pairs, weight = np.repeat([1, 0], 300), np.concatenate([t, 1 - t])
    twice = make_calibrator(method).fit(np.concatenate([x, x]), pairs, sample_weight=weight)
    grid = np.linspace(0.01, 0.99, 50)
    # safety (smoothing) may count rows or weights, and pairs may be on both sides of a fold
    shared_out = ("auto", "dirichlet", "correctness_aware", "split_point", *READ_FEATURES)
    atol = 0.05 if method in shared_out else 1e-3
    np.testing.assert_allclose(twice.transform(grid), cal.transform(grid), atol=atol)
    near = np.abs(cal.transform(x)[:, 1] - x[:, 0] ** 2).mean()
    assert near < np.abs(x[:, 0] - x[:, 0] ** 2).mean(), "closer to the targets than the scores"


def test_columns_of_tables_meet_by_name() -> None:
    pd = pytest.importorskip("pandas")
    z, t = scores_and_shares()
    names = ["a", "b", "c"]
    plain = make_calibrator("vector_scaling", input="logits").fit(z, t)
    named = make_calibrator("vector_scaling", input="logits").fit(
        pd.DataFrame(z, columns=names), pd.DataFrame(t, columns=names)[["c", "a", "b"]]
    )
    assert named.classes_.tolist() == ["c", "a", "b"]
    out = named.transform(pd.DataFrame(z, columns=names))
    np.testing.assert_allclose(out[:, [1, 2, 0]], plain.transform(z), atol=1e-8)


def test_columns_of_tables_meet_where_all_names_have_a_common_beginning() -> None:
    pd = pytest.importorskip("pandas")
    z, t = scores_and_shares()
    plain = make_calibrator("vector_scaling", input="logits").fit(z, t)
    scores = pd.DataFrame(z, columns=["z_ant", "z_bee", "z_cat"])
    shares = pd.DataFrame(t, columns=["t_ant", "t_bee", "t_cat"])
    named = make_calibrator("vector_scaling", input="logits").fit(
        scores, shares[["t_cat", "t_ant", "t_bee"]]
    )
    assert named.classes_.tolist() == ["t_ant", "t_bee", "t_cat"]
    np.testing.assert_allclose(named.transform(scores), plain.transform(z), atol=1e-12)


def test_tensors_and_lists() -> None:
    torch = pytest.importorskip("torch")
    z, t = scores_and_shares()
    plain = make_calibrator("platt", input="logits").fit(z, t).transform(z)
    for kind in (torch.tensor, np.ndarray.tolist):
        cal = make_calibrator("platt", input="logits").fit(kind(z), kind(t))
        np.testing.assert_allclose(cal.transform(z), plain, atol=1e-12)


def test_doors_that_take_labels_alone_say_so() -> None:
    z, t = scores_and_shares()
    with pytest.raises(ValueError, match=r"soft targets.*fit of calibrators"):
        CalibratedClassifier(LogisticRegression()).fit(z, t)


def test_collections_take_one_column_of_labels() -> None:
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    from calib.distributed import fit

    z, t = scores_and_shares()
    names = ["z0", "z1", "z2", "t0", "t1", "t2"]
    rows = dd.from_pandas(pd.DataFrame(np.hstack([z, t]), columns=names), npartitions=2)
    with pytest.raises(ValueError, match=r"label must be the name of one column.*Soft targets"):
        fit(rows, "temperature", label=names[3:], scores=names[:3], input="logits")


def test_what_is_refused() -> None:
    z, t = scores_and_shares()
    cal = make_calibrator("temperature", input="logits")
    with pytest.raises(ValueError, match=r"do not sum to 1 .*MultilabelCalibrator"):
        cal.fit(z, 2 * t)
    with pytest.raises(ValueError, match=r"row 5 is .*>= 0"):
        cal.fit(z, np.where(np.arange(len(z))[:, None] == 5, -t, t))
    with pytest.raises(ValueError, match="4 columns"):
        cal.fit(z, np.pad(t, ((0, 0), (0, 1))))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("method", "entropy", "square"),
    [
        ("temperature", 0.569, 0.0273),
        ("matrix_scaling", 0.541, 0.0227),
        ("isotonic", 0.557, 0.0236),
    ],
)
def test_fractions_of_tissue(shared_data: Path, method: str, entropy: float, square: float) -> None:
    benchmark = pytest.importorskip("benchmarks.soft_and_masked")
    path = shared_data / "multilabel_and_shapes" / "mni_slices.npz"
    rows = {
        row.column: row.value for row in benchmark.soft_rows(path, [method]) if row.method == method
    }
    assert rows["cross entropy, fractions"] <= 1.01 * entropy
    assert rows["squared error, fractions"] <= 1.01 * square
    assert rows["cross entropy, labels"] > 1.0


def test_shares_of_excluded_classes_are_left_out_and_named() -> None:
    z, t = scores_and_shares()
    hidden = z.copy()
    hidden[:5, 0] = -np.inf
    clean = t.copy()
    clean[:5, 0] = 0.0
    weight = clean.sum(axis=1)
    with pytest.warns(DegenerateScoresWarning, match="label that X excludes"):
        cal = make_calibrator("temperature", input="logits").fit(hidden, t)
    same = make_calibrator("temperature", input="logits").fit(
        hidden, clean / weight[:, None], sample_weight=weight
    )
    np.testing.assert_allclose(cal.transform(hidden), same.transform(hidden), atol=1e-9)
    assert (cal.transform(hidden)[:5, 0] == 0.0).all()
