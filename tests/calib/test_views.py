"""Views that keep the label, and the scores of a model on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from calib import CorrectnessAwareCalibrator, ViewScores, views

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(n: int = 400) -> pd.DataFrame:
    """Numbers, whole numbers, truth values, a one-hot code, texts and a category."""
    random = rng(1)
    code = np.eye(3)[random.integers(0, 3, n)]
    frame = pd.DataFrame(
        {
            "size": random.normal(size=n),
            "rate": random.random(n),
            "count": random.poisson(3, n),
            "flag": random.random(n) < 0.3,
            "red": code[:, 0],
            "green": code[:, 1],
            "blue": code[:, 2],
            "town": np.array(["a", "b", "c"])[random.integers(0, 3, n)],
            "kind": pd.Categorical(np.array(["x", "y"])[random.integers(0, 2, n)]),
        },
        index=np.arange(n) + 7,
    )
    frame.loc[frame.index[:5], "size"] = np.nan
    return frame


# ---------------------------------------------------------------------- tables


@pytest.mark.parametrize("view", [views.Noise, views.Masking, views.Resampling])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_views_of_tables_stay_valid(view: Any, library: str) -> None:
    given: Any = table()
    if library == "polars":
        given = pl.from_pandas(given)
    before = given.copy() if library == "pandas" else given.clone()
    changed = view(given)(given, rng())
    assert type(changed) is type(given)
    assert list(changed.columns) == list(given.columns)
    assert list(changed.dtypes) == list(given.dtypes)
    assert given.equals(before)
    if library == "pandas":
        assert changed.index.equals(given.index)
        out = changed
    else:
        out = changed.to_pandas()
    start = table().reset_index(drop=True)
    out = out.reset_index(drop=True)
    assert (out["count"] == out["count"].round()).all()
    for name in ("size", "rate", "count"):
        assert out[name].min() >= start[name].min()
        assert out[name].max() <= start[name].max()
        assert (out[name] != start[name]).mean() > 0.05
    assert (out[["red", "green", "blue"]].sum(axis=1) == 1).all()
    assert set(out["town"]) <= {"a", "b", "c"}
    untouched = ["flag", "red", "green", "blue", "town", "kind"]
    same = all((out[name].astype(str) == start[name].astype(str)).all() for name in untouched)
    assert same == (view is views.Noise)


def test_noise_has_the_scale_that_was_asked_for() -> None:
    X = rng().normal(scale=3.0, size=(20_000, 2))
    changed = views.Noise(X, scale=0.2)(X, rng(1))
    middle = np.abs(X) < 3
    assert (changed - X)[middle].std() == pytest.approx(0.6, rel=0.03)
    missing = X.copy()
    missing[0, 0] = np.nan
    assert np.isnan(views.Noise(X)(missing, rng())[0, 0])


def test_masking_uses_means_and_the_most_frequent_values() -> None:
    X = np.column_stack(
        [rng().normal(size=5000), rng(1).integers(0, 9, 5000), np.arange(5000) < 900]
    )
    changed = views.Masking(X, share=0.25)(X, rng())
    moved = changed != X
    assert moved[:, 0].mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_allclose(changed[moved[:, 0], 0], X[:, 0].mean())
    np.testing.assert_array_equal(changed[moved[:, 1], 1], np.rint(X[:, 1].mean()))
    assert 150 < moved[:, 2].sum() < 300
    assert (changed[moved[:, 2], 2] == 0).all()


def test_resampling_takes_what_occurs_and_keeps_whole_numbers() -> None:
    X = rng().integers(0, 50, (3000, 3))
    changed = views.Resampling(X, share=0.5)(X, rng())
    assert changed.dtype == X.dtype
    assert (changed != X).mean() == pytest.approx(0.5, abs=0.03)
    assert set(np.unique(changed)) <= set(np.unique(X))


def test_numbers_beyond_the_training_range_stay() -> None:
    X = rng().random((100, 1))
    out = views.Noise(X, scale=0.1)(np.array([[5.0], [-3.0]]), rng())
    assert out.max() <= 5
    assert out.min() >= -3


def test_views_of_tables_show_what_they_are() -> None:
    assert repr(views.Noise(rng().random((3, 3)), 0.2)) == "Noise(3 x 3 table, scale=0.2)"
    assert repr(views.Masking(np.eye(3))) == "Masking(3 x 3 table, share=0.15)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: views.Noise(np.eye(3)), "no column of numbers with more than two values"),
        (lambda: views.Noise(np.ones((3, 3)), scale=0), "scale must be > 0"),
        (lambda: views.Masking(np.ones((3, 3)), share=1.5), r"share must lie in \(0, 1\)"),
        (lambda: views.Resampling(np.ones(3)), "X must be a table"),
        (lambda: views.Resampling(np.ones((0, 3))), "0 rows and 3 columns"),
        (lambda: views.Masking(np.ones((3, 3)))(np.ones((3, 2)), rng()), "X has the columns"),
        (lambda: views.Masking(table())(table().to_numpy(), rng()), "made from a table"),
        (lambda: views.Masking(table())(table()[["rate", "size"]], rng()), "X has the columns"),
    ],
)
def test_what_views_of_tables_refuse(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- images

IMAGES = [
    views.Rotation(), views.Shift(), views.Blur(), views.PixelNoise(), views.Jitter(),
]  # fmt: skip


@pytest.mark.parametrize("view", [*IMAGES, views.Grey()], ids=lambda view: type(view).__name__)
def test_views_of_images_keep_shape_type_and_most_of_the_picture(view: Any) -> None:
    pictures = rng().integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    pictures = np.repeat(np.repeat(pictures, 3, axis=1), 3, axis=2)
    before = pictures.copy()
    changed = view(pictures, rng())
    assert changed.dtype == np.uint8
    assert changed.shape == pictures.shape
    np.testing.assert_array_equal(pictures, before)
    moved = np.abs(changed.astype(float) - pictures)
    assert moved.mean() > 1
    assert moved.reshape(6, -1).max(axis=1).min() > 0  # every picture
    shape = (24, 24, 3)
    flat = type(view)(shape=shape)(pictures.reshape(6, -1), rng())
    np.testing.assert_array_equal(flat, changed.reshape(6, -1))
    if not isinstance(view, views.Grey):
        assert view(pictures[..., 0] / 255.0, rng()).shape == (6, 24, 24)
        far = np.corrcoef(changed.ravel(), pictures.ravel())[0, 1]
        assert far > 0.4


def test_what_single_views_of_images_do() -> None:
    x = rng().random((50, 9, 9))
    moved = views.Shift(pixels=2)(x, rng())
    assert all(
        any(
            (a[max(0, i) : 9 + min(0, i), max(0, j) : 9 + min(0, j)]
             == b[max(0, -i) : 9 + min(0, -i), max(0, -j) : 9 + min(0, -j)]).all()
            for i in range(-2, 3) for j in range(-2, 3) if i or j
        )
        for a, b in zip(moved, x, strict=True)
    )  # fmt: skip
    light = views.Jitter(brightness=0.3, contrast=0.0)(x, rng()).mean(axis=(1, 2))
    ratio = light / x.mean(axis=(1, 2))
    assert 0.7 <= ratio.min() < 0.8
    assert 1.2 < ratio.max() <= 1.3
    spread = views.Jitter(brightness=0.0, contrast=0.3)(x, rng()).std(axis=(1, 2))
    assert 0.7 <= (spread / x.std(axis=(1, 2))).min() < 0.8
    noise = views.PixelNoise(scale=0.5)(x, rng()) - x
    assert noise.std() == pytest.approx(0.5 * x.std(), rel=0.05)
    blurred = [views.Blur(sigma=sigma)(x, rng()).std() for sigma in (0.5, 2.0)]
    assert x.std() > blurred[0] > blurred[1]
    small, large = (
        np.abs(views.Rotation(degrees=degrees)(x, rng()) - x).mean() for degrees in (1, 40)
    )
    assert small < large
    assert views.PixelNoise(scale=1.0, bounds=(0, 1))(x, rng()).max() == 1
    grey = views.Grey()(rng().random((2, 3, 3, 3)), rng())
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: views.Rotation(degrees=90), r"degrees must lie in \(0, 45\]"),
        (lambda: views.Shift(pixels=0), "pixels must be >= 1"),
        (lambda: views.Blur(sigma=-1), "sigma must lie"),
        (lambda: views.PixelNoise(scale=2), "scale must lie"),
        (lambda: views.Jitter(brightness=1), r"brightness must lie in \[0, 1\)"),
        (lambda: views.Jitter(brightness=0, contrast=0), "nothing changes"),
        (lambda: views.Blur(shape=(8,)), "shape must be"),
        (lambda: views.Blur(bounds=(1, 0)), "bounds must be"),
        (lambda: views.Blur()(np.ones((3, 64)), rng()), "Pass shape= if rows are flattened"),
        (lambda: views.Blur(shape=(8, 7))(np.ones((3, 64)), rng()), "64 pixels a row"),
        (lambda: views.Blur()(np.full((3, 2, 2), "a"), rng()), "numbers of pixels"),
        (lambda: views.Grey()(np.ones((3, 4, 4)), rng()), "three channels"),
    ],
)
def test_what_views_of_images_refuse(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- the scores of a model

DIGITS, LABELS = load_digits(return_X_y=True)
MODEL = FrozenEstimator(LogisticRegression(C=100, max_iter=3000).fit(DIGITS[:300], LABELS[:300]))
TURNS = [views.Rotation(shape=(8, 8)), views.PixelNoise(shape=(8, 8), scale=0.3)]


def test_scores_of_the_original_come_first_and_repeat() -> None:
    step = ViewScores(MODEL, TURNS).fit(DIGITS[:50])
    z = step.transform(DIGITS[:50])
    assert z.shape == (50, 3, 10)
    assert step.response_ == "decision_function"
    np.testing.assert_allclose(z[:, 0], MODEL.decision_function(DIGITS[:50]))
    np.testing.assert_array_equal(z, step.transform(DIGITS[:50]))
    other = ViewScores(MODEL, TURNS, random_state=1).fit(DIGITS[:50]).transform(DIGITS[:50])
    np.testing.assert_array_equal(z[:, 0], other[:, 0])
    assert (z[:, 1] != other[:, 1]).any()
    same = clone(step).fit(DIGITS).transform(DIGITS[:50])
    np.testing.assert_array_equal(z, same)


def test_probabilities_become_logarithms_that_end_at_the_precision() -> None:
    model = FrozenEstimator(GaussianNB().fit(DIGITS[:300], LABELS[:300] > 4))
    step = ViewScores(model, [lambda X: X]).fit(DIGITS)
    z = step.transform(DIGITS)
    assert step.response_ == "predict_proba"
    p = model.predict_proba(DIGITS)
    assert p.min() < 1e-300
    np.testing.assert_allclose(z[:, 0], np.log(np.maximum(p, np.finfo(float).eps)))
    np.testing.assert_array_equal(z[:, 0], z[:, 1])
    binary = FrozenEstimator(LogisticRegression(max_iter=3000).fit(DIGITS[:300], LABELS[:300] > 4))
    two = ViewScores(binary, [lambda X: X]).fit(DIGITS).transform(DIGITS)
    np.testing.assert_allclose(two[:, 0, 1] - two[:, 0, 0], binary.decision_function(DIGITS))
    proba = ViewScores(binary, [lambda X: X], response="predict_proba").fit(DIGITS)
    assert proba.transform(DIGITS).max() <= 0


def test_probabilities_can_be_handed_on_as_they_are() -> None:
    """As a forest's zeros should be, whose logarithms would rule a temperature."""
    forest = RandomForestClassifier(20, random_state=0).fit(DIGITS[:300], LABELS[:300])
    frozen = FrozenEstimator(forest)
    step = ViewScores(frozen, TURNS, output="proba").fit(DIGITS)
    p = step.transform(DIGITS[300:])
    np.testing.assert_array_equal(p[:, 0], forest.predict_proba(DIGITS[300:]))
    cal = CorrectnessAwareCalibrator(n_views=2).fit(p, LABELS[300:])
    assert cal.input_smoothing_ > 0
    linear = ViewScores(MODEL, TURNS, output="proba").fit(DIGITS)
    assert linear.response_ == "predict_proba"
    np.testing.assert_allclose(linear.transform(DIGITS[:9]).sum(axis=2), 1)


def test_views_may_want_a_generator_and_may_spoil_what_they_are_given() -> None:
    seen = []

    def spoiling(X: np.ndarray) -> np.ndarray:
        X[:] = 0
        return X

    def drawn(X: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        seen.append(generator.random())
        return X

    def named(X: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        seen.append(rng.random())
        return X

    before = DIGITS[:20].copy()
    step = ViewScores(MODEL, [spoiling, drawn, named, np.abs]).fit(before)
    z = step.transform(before)
    np.testing.assert_array_equal(before, DIGITS[:20])
    assert np.ptp(z[:, 1], axis=0).max() < 1e-9
    np.testing.assert_array_equal(z[:, 2], z[:, 0])
    assert len(seen) == 2
    assert seen[0] != seen[1]
    step.transform(before)
    assert seen[:2] == seen[2:]


def test_a_pipeline_from_inputs_to_probabilities() -> None:
    served = make_pipeline(
        ViewScores(MODEL, TURNS), CorrectnessAwareCalibrator(n_views=2, input="logits")
    ).fit(DIGITS[300:1200], LABELS[300:1200])
    p = served.predict_proba(DIGITS[1200:])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(served.predict(DIGITS[1200:]), MODEL.predict(DIGITS[1200:]))
    right, wrong = served[-1].view_agreement_.T
    assert (right > wrong + 0.1).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ViewScores(GaussianNB(), TURNS), ValueError, "FrozenEstimator"),
        (lambda: ViewScores(MODEL, []), ValueError, "at least one callable"),
        (lambda: ViewScores(MODEL, TURNS[0]), ValueError, "views must be a list"),
        (lambda: ViewScores(MODEL, ["noise"]), TypeError, "view 1 cannot be called"),
        (lambda: ViewScores(MODEL, TURNS, response="logits"), ValueError, "response must be"),
        (lambda: ViewScores(MODEL, TURNS, output="scores"), ValueError, "output must be one of"),
        (
            lambda: ViewScores(MODEL, TURNS, output="proba", response="decision_function"),
            ValueError,
            "pass output='logits'",
        ),
        (lambda: ViewScores(MODEL, TURNS, random_state=-1), ValueError, "random_state must be"),
        (lambda: ViewScores(FrozenEstimator(GaussianNB()), TURNS), NotFittedError, "fitted"),
    ],
)
def test_what_fits_refuse(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make().fit(DIGITS, LABELS)


def test_what_transforms_refuse() -> None:
    with pytest.raises(NotFittedError):
        ViewScores(MODEL, TURNS).transform(DIGITS)
    for view, shape in ((lambda X: X[1:], "(9, 64)"), (lambda X: X[:, 1:], "(10, 63)")):
        step = ViewScores(MODEL, [view]).fit(DIGITS)
        with pytest.raises(ValueError, match=r"view 1 .*returned shape") as caught:
            step.transform(DIGITS[:10])
        assert shape in str(caught.value)
