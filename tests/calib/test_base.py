"""The contract: what every registered calibrator accepts, refuses and returns."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calib import (
    CALIBRATORS,
    CalibrationWarning,
    DegenerateScoresWarning,
    ProbabilitiesAsLogitsWarning,
    make_calibrator,
)

METHODS = list(CALIBRATORS)


def scores_and_labels(
    n: int = 300, n_classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, n_classes))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    return z, y


def proba_of(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ----------------------------------------------------------------------------- what is returned


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_probabilities_in_class_order(method: str, n_classes: int) -> None:
    z, y = scores_and_labels(n_classes=n_classes)
    cal = make_calibrator(method, input="logits").fit(z, y)
    p = cal.transform(z)
    assert p.shape == z.shape
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(cal.classes_, np.arange(n_classes))
    np.testing.assert_array_equal(cal.predict_proba(z), p)
    assert list(cal.get_feature_names_out()) == [str(k) for k in range(n_classes)]


def test_one_and_two_columns_agree(method: str) -> None:
    z, y = scores_and_labels(n_classes=2)
    s = z[:, 1] - z[:, 0]
    two = make_calibrator(method, input="logits").fit(z, y).transform(z)
    for one in (s, s[:, None]):
        p = make_calibrator(method, input="logits").fit(one, y).transform(one)
        np.testing.assert_allclose(p, two, atol=1e-9)
    proba = proba_of(z)
    from_proba = make_calibrator(method).fit(proba, y).transform(proba)
    np.testing.assert_allclose(from_proba, two, atol=1e-9)
    positive = make_calibrator(method).fit(proba[:, 1], y).transform(proba[:, 1])
    np.testing.assert_allclose(positive, two, atol=1e-9)


#: Parameters that switch off what reads probabilities differently, or draws folds by their bits.
SAME_FOR_BOTH = {
    "platt": {"smooth_input": False},
    "online_platt": {"smooth_input": False},
    "quadratic": {"smooth_input": False},
    "beta": {"smooth_input": False},
    "dirichlet": {"penalty": 1e-2},
}


def test_logits_and_probabilities_agree(method: str) -> None:
    z, y = scores_and_labels()
    p = proba_of(z)
    params = SAME_FOR_BOTH.get(method, {})
    np.testing.assert_allclose(
        make_calibrator(method, input="logits", **params).fit(z, y).transform(z),
        make_calibrator(method, **params).fit(p, y).transform(p),
        atol=1e-8,
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_type_is_kept(method: str, dtype: type) -> None:
    z, y = scores_and_labels()
    cal = make_calibrator(method, input="logits").fit(z, y)
    p = cal.transform(z.astype(dtype))
    assert p.dtype == dtype
    tolerance = {np.float16: 4e-3, np.float32: 1e-5, np.float64: 0}[dtype]
    rounded = z.astype(dtype).astype(np.float64)
    np.testing.assert_allclose(p.astype(float), cal.transform(rounded), atol=tolerance)
    fitted_on_it = make_calibrator(method, input="logits").fit(z.astype(dtype), y)
    assert np.isfinite(fitted_on_it.transform(z)).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, bool])
def test_integer_scores_become_float64(method: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2 if dtype is bool else 6, size=(200, 3)).astype(dtype)
    y = rng.integers(0, 3, size=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        p = make_calibrator(method, input="logits").fit(z, y).transform(z)
    assert p.dtype == np.float64


def test_memory_layout_does_not_matter(method: str) -> None:
    z, y = scores_and_labels()
    expected = make_calibrator(method, input="logits").fit(z, y).transform(z)
    wide = np.repeat(z, 2, axis=1)[:, ::2]  # not contiguous
    frozen = z.copy()
    frozen.flags.writeable = False
    y_frozen = y.copy()
    y_frozen.flags.writeable = False
    for layout in (wide, np.asfortranarray(z), frozen, z.tolist()):
        p = make_calibrator(method, input="logits").fit(layout, y_frozen).transform(layout)
        np.testing.assert_allclose(p, expected, atol=1e-12)
    np.testing.assert_array_equal(frozen, z)


def test_tables_of_every_library(method: str) -> None:
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    z, y = scores_and_labels()
    names = ["a", "b", "c"]
    expected = make_calibrator(method, input="logits").fit(z, y).transform(z)
    columns = {name: z[:, k] for k, name in enumerate(names)}
    for table, labels in (
        (pd.DataFrame(columns), pd.Series(y)),
        (pl.DataFrame(columns), pl.Series(y)),
        (pa.table(columns), pa.chunked_array([y])),
    ):
        cal = make_calibrator(method, input="logits").fit(table, labels)
        np.testing.assert_allclose(cal.transform(table), expected, atol=1e-12)
    frame = pd.DataFrame(columns)
    cal = make_calibrator(method, input="logits").fit(frame, y)
    assert list(cal.feature_names_in_) == names
    with pytest.raises(ValueError, match="feature names"):
        cal.transform(frame[["b", "a", "c"]])
    out = cal.set_output(transform="pandas").transform(frame)
    assert list(out.columns) == ["0", "1", "2"]
    assert isinstance(cal.predict_proba(frame), np.ndarray)


def test_large_input_is_mapped_in_blocks_without_a_seam(method: str) -> None:
    z, y = scores_and_labels(n=60_000, n_classes=3)
    cal = make_calibrator(method, input="logits").fit(z[:2000], y[:2000])
    whole = cal.transform(z)
    rows = np.r_[0, 21_844:21_848, 59_999]  # around the edge of a block
    np.testing.assert_array_equal(whole[rows], cal.transform(z[rows]))


# ----------------------------------------------------------------------------- labels and weights


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ant", "bee", "cat"]),
        np.array(["ant", "bee", "cat"], dtype=object),
        np.array([10, 20, 30]),
        np.array([10, 20, 30], dtype=object),
        np.array([-1.0, 0.0, 1.0]),
    ],
    ids=["str", "object", "int", "object-int", "float"],
)
def test_any_labels(method: str, labels: np.ndarray) -> None:
    z, y = scores_and_labels()
    expected = make_calibrator(method, input="logits").fit(z, y)
    cal = make_calibrator(method, input="logits").fit(z, labels[y])
    assert cal.classes_.tolist() == labels.tolist()
    np.testing.assert_array_equal(cal.transform(z), expected.transform(z))


def test_boolean_labels(method: str) -> None:
    z, y = scores_and_labels(n_classes=2)
    cal = make_calibrator(method, input="logits").fit(z, y.astype(bool))
    assert cal.classes_.tolist() == [False, True]


def test_absent_integer_class_keeps_its_column(method: str) -> None:
    z, y = scores_and_labels(n_classes=4)
    keep = y != 2
    cal = make_calibrator(method, input="logits").fit(z[keep], y[keep])
    p = cal.transform(z)
    assert p.shape == (300, 4)
    assert np.isfinite(p).all()
    assert cal.classes_.tolist() == [0, 1, 2, 3]


def test_integer_weight_equals_repetition(method: str) -> None:
    z, y = scores_and_labels(n=120)
    weight = np.random.default_rng(1).integers(0, 4, size=120)
    repeated = np.repeat(np.arange(120), weight)
    weighted = make_calibrator(method, input="logits").fit(z, y, sample_weight=weight)
    plain = make_calibrator(method, input="logits").fit(z[repeated], y[repeated])
    np.testing.assert_allclose(weighted.transform(z), plain.transform(z), atol=1e-8)


def test_permuting_samples_changes_nothing(method: str) -> None:
    z, y = scores_and_labels()
    z = z.round(1)  # with ties
    order = np.random.default_rng(1).permutation(len(y))
    np.testing.assert_allclose(
        make_calibrator(method, input="logits").fit(z, y).transform(z),
        make_calibrator(method, input="logits").fit(z[order], y[order]).transform(z),
        atol=1e-9,
    )


def test_relabelling_classes_permutes_columns(method: str) -> None:
    z, y = scores_and_labels()
    order = np.array([2, 0, 1])
    place = np.argsort(order)
    np.testing.assert_allclose(
        make_calibrator(method, input="logits").fit(z[:, order], place[y]).transform(z[:, order]),
        make_calibrator(method, input="logits").fit(z, y).transform(z)[:, order],
        atol=1e-9,
    )


def test_soft_targets_equal_split_weights(method: str) -> None:
    if not CALIBRATORS[method].load().soft_targets:
        pytest.skip("takes labels only")
    rng = np.random.default_rng(0)
    s = 2 * rng.normal(size=200)
    t = np.round(1 / (1 + np.exp(-s - rng.normal(size=200))), 2)
    soft = make_calibrator(method, input="logits").fit(s, t)
    hard = make_calibrator(method, input="logits").fit(
        np.r_[s, s], np.r_[np.ones(200, int), np.zeros(200, int)], sample_weight=np.r_[t, 1 - t]
    )
    np.testing.assert_allclose(soft.transform(s), hard.transform(s), atol=1e-8)
    assert soft.classes_.tolist() == [0, 1]


def test_clone_and_parameters(method: str) -> None:
    z, y = scores_and_labels()
    cal = make_calibrator(method, input="logits").fit(z, y)
    fresh = clone(cal)
    assert fresh.get_params() == cal.get_params()
    with pytest.raises(NotFittedError):
        fresh.transform(z)


# ----------------------------------------------------------------------------- bad input


def bad_fits() -> list[tuple[str, object, object, dict[str, object], str]]:
    z, y = scores_and_labels(n=20)
    p = proba_of(z)
    with_nan, with_inf = z.copy(), z.copy()
    with_nan[4, 1], with_inf[7, 2] = np.nan, np.inf
    weights = np.ones(20)
    return [
        ("nan", with_nan, y, {}, r"X contains NaN or inf: nan in row 4, column 1"),
        ("inf", with_inf, y, {}, r"X contains NaN or inf: inf in row 7, column 2"),
        ("none", None, y, {}, "None for X"),
        ("empty", z[:0], y[:0], {}, r"X has 0 samples"),
        ("no columns", z[:, :0], y, {}, r"X has 0 feature\(s\)"),
        ("three dimensions", z[:, :, None], y, {}, "X must have 1 or 2 dimensions"),
        ("ragged", [[1.0, 2.0], [3.0]], [0, 1], {}, "X is ragged"),
        ("text", [["a", "b"], ["c", "d"]], [0, 1], {}, "X must hold numbers"),
        ("complex", z + 1j, y, {}, "Complex data not supported: X"),
        ("masked", np.ma.masked_less(z, 0), y, {}, "X is a masked array"),
        ("one sample", z[:1], y[:1], {}, "X has 1 sample"),
        ("lengths", z, y[:-1], {}, "X has 20 samples but y has 19"),
        ("single class", z, np.zeros(20, int), {}, "y has a single class"),
        ("no y", z, None, {}, "requires y to be passed"),
        ("many labels", z, np.ones((20, 3)), {}, r"rows do not sum to 1.*MultilabelCalibrator"),
        ("nan label", z, np.where(y == 0, np.nan, y), {}, "y contains NaN"),
        ("none label", z, np.array([None, *y[1:]], dtype=object), {}, "y contains NaN"),
        ("outside", z, y + 5 * (y == 2), {"input": "logits"}, None),
        ("more labels", z, np.arange(20) % 4, {}, "y has 4 distinct labels"),
        ("fewer labels", z, np.array(["a", "b"])[y % 2], {}, "2 distinct labels.*3 columns"),
        ("mixed labels", z, np.array([0, "a", *y[2:]], dtype=object), {}, "Unknown label type"),
        ("continuous", z, y + 0.5, {}, "Unknown label type"),
        ("bad input", z, y, {"input": "scores"}, "input must be one of 'proba', 'logits'"),
        ("row sums", p * 1.1 / 1.1 * 0.9, y, {"input": "proba"}, "do not sum to 1"),
        ("logits as proba", z, y, {"input": "proba"}, r"outside \[0, 1\].*pass input='logits'"),
        ("log-odds as proba", z[:, 0], y > 0, {"input": "proba"}, "pass input='logits'"),
        ("negative weight", z, y, {"w": weights - 1.5}, "sample_weight must be >= 0; got -0.5"),
        ("zero weights", z, y, {"w": 0 * weights}, "sample_weight is zero for every sample"),
        ("nan weight", z, y, {"w": weights * np.nan}, "sample_weight contains NaN"),
        ("short weight", z, y, {"w": weights[1:]}, r"sample_weight must have shape \(20,\)"),
        ("text weight", z, y, {"w": ["x"] * 20}, "sample_weight must hold numbers"),
        ("one weighted class", z, y, {"w": (y == 1) * 1.0}, "y has a single class"),
    ]


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [pytest.param(*row[1:], id=row[0]) for row in bad_fits() if row[4] is not None],
)
def test_bad_fit(
    method: str, X: object, y: object, options: dict[str, object], message: str
) -> None:
    options = dict(options)
    weight = options.pop("w", None)
    cal = make_calibrator(method, **{"input": "logits", **options})
    with pytest.raises(ValueError, match=message):
        cal.fit(X, y, sample_weight=weight)


def test_labels_outside_the_columns(method: str) -> None:
    z, y = scores_and_labels(n=20)
    cal = make_calibrator(method, input="logits")
    with pytest.raises(ValueError, match="y has 4 distinct labels"):
        cal.fit(z, np.where(np.arange(20) == 3, 7, y))
    with pytest.raises(ValueError, match="unclear which class"):
        cal.fit(z, np.where(y == 2, 0, y) + 5)


def test_sparse_matrices_are_refused(method: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    z, y = scores_and_labels(n=20)
    for matrix in (sparse.csr_matrix(z), sparse.coo_array(z)):
        with pytest.raises(ValueError, match=r"X is a sparse matrix.*toarray"):
            make_calibrator(method, input="logits").fit(matrix, y)


def test_probabilities_as_logits_warn(method: str) -> None:
    z, y = scores_and_labels()
    with pytest.warns(ProbabilitiesAsLogitsWarning, match="pass input='proba'"):
        make_calibrator(method, input="logits").fit(proba_of(z), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProbabilitiesAsLogitsWarning)
        with pytest.raises(ProbabilitiesAsLogitsWarning):
            make_calibrator(method, input="logits").fit(proba_of(z), y)


@pytest.mark.parametrize("kind", ["one column of zeros", "zero class column", "constant rows"])
def test_degenerate_scores_warn_and_still_give_probabilities(method: str, kind: str) -> None:
    z, y = scores_and_labels()
    p = proba_of(z)
    if kind == "one column of zeros":
        p, y = np.zeros((300, 1)), (y > 0).astype(int)
    elif kind == "zero class column":
        p[:, 1] = 0
        p /= p.sum(axis=1, keepdims=True)
    else:
        p = np.tile(p[:1], (300, 1))
    with pytest.warns(DegenerateScoresWarning, match="X"):
        cal = make_calibrator(method).fit(p, y)
    out = cal.transform(p)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.sum(axis=1), 1, atol=1e-12)


def test_transform_refuses(method: str) -> None:
    z, y = scores_and_labels()
    with pytest.raises(NotFittedError):
        make_calibrator(method, input="logits").transform(z)
    cal = make_calibrator(method, input="logits").fit(z, y)
    with pytest.raises(ValueError, match=r"X has 2 features.*expecting 3"):
        cal.transform(z[:, :2])
    with pytest.raises(ValueError, match="Reshape your data"):
        cal.transform(z[0])
    with pytest.raises(ValueError, match="NaN or inf"):
        cal.transform(np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="0 samples"):
        cal.transform(z[:0])
    from_proba = make_calibrator(method).fit(proba_of(z), y)
    with pytest.raises(ValueError, match="pass input='logits'"):
        from_proba.transform(z)


@pytest.mark.parametrize("scale", [1e-9, 1e9, 1e200])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logits_of_any_scale(method: str, scale: float, n_classes: int) -> None:
    z, y = scores_and_labels(n_classes=n_classes)
    expected = make_calibrator(method, input="logits").fit(z, y).transform(z)
    p = make_calibrator(method, input="logits").fit(z * scale, y).transform(z * scale)
    assert np.isfinite(p).all()
    if scale < 1e100 and (method == "temperature" or (method == "platt" and n_classes == 2)):
        np.testing.assert_allclose(p, expected, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_separable_data_give_finite_loss(method: str, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, size=200)
    z = 0.1 * rng.normal(size=(200, n_classes)) + 5 * np.eye(n_classes)[y]
    p = make_calibrator(method, input="logits").fit(z, y).transform(z)
    assert p.min() > 0
    assert -np.log(p[np.arange(200), y]).mean() < np.log(n_classes) / 4


def test_exact_zeros_and_ones(method: str) -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(0, 11, size=300) / 10  # a forest of ten trees
    y = (rng.random(300) < 0.2 + 0.6 * p).astype(int)
    out = make_calibrator(method).fit(p, y).transform(p)
    assert np.isfinite(np.log(out[np.arange(300), y])).all()
