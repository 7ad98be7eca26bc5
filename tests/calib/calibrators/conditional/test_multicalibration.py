"""Multicalibration: groups are repaired, noise is left alone, features are read as declared."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit
from sklearn.base import clone

from calib import (
    AutoCalibrator,
    CalibrationWarning,
    MulticalibrationCalibrator,
    load,
    make_calibrator,
    save,
)
from tests.support.people import log_loss, people, table

LEARNERS = ("auto", "trees", "steps", "both")


def fitted(X: Any, y: np.ndarray, **options: Any) -> MulticalibrationCalibrator:
    return MulticalibrationCalibrator(input="logits", n_scores=1, **options).fit(X, y)


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    return people()


@pytest.fixture(scope="module")
def fresh() -> tuple[np.ndarray, np.ndarray]:
    return people(20_000, seed=1)


@pytest.mark.parametrize("learners", LEARNERS)
def test_groups_that_the_scores_miss_are_repaired(
    learners: str, sample: tuple[np.ndarray, np.ndarray], fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    cal = fitted(*sample, learners=learners)
    alone = AutoCalibrator(input="logits").fit(sample[0][:, 0], sample[1])
    X, y = fresh
    assert cal.used_
    assert cal.fallback_reason_ is None
    p = cal.transform(X)
    assert log_loss(p, y) < log_loss(alone.transform(X[:, 0]), y) - 0.02
    group = (X[:, 2] == 1) & (X[:, 1] > 50)
    gap = (p[group, 1] - y[group]).mean()
    assert abs(gap) < (0.12 if learners == "steps" else 0.05)  # steps know no products


def test_the_published_names_of_the_registry() -> None:
    assert isinstance(make_calibrator("multicalibration"), MulticalibrationCalibrator)


def test_noise_is_left_alone_bit_for_bit() -> None:
    n_used = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        s, noise = rng.normal(size=400), rng.normal(size=(400, 6))
        y = (rng.random(400) < expit(2 * s)).astype(int)
        cal = fitted(np.c_[s, noise], y)
        n_used += cal.used_
        if cal.used_:
            continue
        alone = AutoCalibrator(input="logits").fit(s, y)
        assert "scores alone: " in repr(cal)
        new = np.c_[rng.normal(size=500), rng.normal(size=(500, 6))]
        np.testing.assert_array_equal(cal.transform(new), alone.transform(new[:, 0]))
    assert n_used <= 2


@pytest.mark.parametrize("n_classes", [2, 4])
def test_without_features_it_is_the_map_of_the_scores(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, n_classes))
    y = (2 * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = MulticalibrationCalibrator(input="logits").fit(z, y)
    np.testing.assert_array_equal(
        cal.transform(z), AutoCalibrator(input="logits").fit(z, y).transform(z)
    )
    assert "no feature columns" in str(cal.fallback_reason_)


def test_probabilities_and_two_columns_mean_the_same(sample: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = sample
    p = expit(X[:, 0])
    one = MulticalibrationCalibrator(n_scores=1).fit(np.c_[p, X[:, 1:]], y)
    two = MulticalibrationCalibrator(n_scores=2).fit(np.c_[1 - p, p, X[:, 1:]], y)
    np.testing.assert_allclose(
        one.transform(np.c_[p, X[:, 1:]]), two.transform(np.c_[1 - p, p, X[:, 1:]]), atol=1e-9
    )


def test_a_few_rows_and_a_single_positive_are_left_to_the_scores() -> None:
    X, y = people(40)
    assert "fewer than 50" in str(fitted(X, y).fallback_reason_)
    X, y = people(200)
    rare = np.zeros(200, dtype=int)
    rare[0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        assert "single row" in str(fitted(X, rare).fallback_reason_)


def test_weights_are_repetitions(sample: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = sample[0][:600], sample[1][:600]
    weight = np.random.default_rng(0).integers(0, 4, 600)
    heavy = MulticalibrationCalibrator(input="logits", n_scores=1).fit(X, y, weight)
    rows = np.repeat(np.arange(600), weight)
    np.testing.assert_allclose(heavy.transform(X), fitted(X[rows], y[rows]).transform(X), atol=1e-9)


def test_the_order_of_rows_has_no_influence(sample: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = sample
    order = np.random.default_rng(5).permutation(len(y))
    np.testing.assert_allclose(
        fitted(X, y).transform(X), fitted(X[order], y[order]).transform(X), atol=1e-9
    )


@pytest.mark.parametrize("learners", LEARNERS)
def test_files_give_the_same_map(
    learners: str, sample: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    frame = table(sample[0])
    cal = fitted(frame, sample[1], learners=learners, categorical=["site"])
    path = save(cal, tmp_path / "cal.json")
    assert path.stat().st_size < 1_000_000
    np.testing.assert_array_equal(load(path).transform(frame), cal.transform(frame))


def test_trees_of_a_file_are_held_against_their_shapes(
    sample: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    cal = fitted(*sample)
    cal.tree_column_ = cal.tree_column_ + 40
    with pytest.raises(ValueError, match="tree_column_"):
        save(cal, tmp_path / "cal.json")


@pytest.mark.parametrize("learners", LEARNERS)
def test_modules_of_torch_agree(learners: str, sample: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    X, y = sample
    cal = fitted(X, y, learners=learners, categorical=[3])
    module = to_torch(cal)
    out = module(torch.tensor(X)).numpy()
    np.testing.assert_allclose(out, cal.transform(X), atol=1e-12)
    batch = torch.export.Dim("batch", min=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own internals
        traced = torch.jit.trace(module, torch.tensor(X[:5]))
        program = torch.export.export(
            module, (torch.tensor(X[:5]),), dynamic_shapes=({0: batch},)
        ).module()
    for run in (traced, program):
        np.testing.assert_allclose(run(torch.tensor(X)).numpy(), out, atol=1e-12)


@pytest.mark.parametrize("learners", LEARNERS)
def test_onnx_models_agree(
    learners: str, sample: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    X = sample[0].astype(np.float32)
    cal = fitted(X, sample[1], learners=learners, categorical=[3])
    to_onnx(cal, tmp_path / "cal.onnx")
    session = runtime.InferenceSession(str(tmp_path / "cal.onnx"))
    (out,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(out, cal.transform(X), atol=1e-6)


def test_tensors_stay_tensors(sample: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    cal = fitted(*sample)
    out = cal.transform(torch.tensor(sample[0]))
    np.testing.assert_allclose(out.numpy(), cal.transform(sample[0]), atol=1e-12)


# ---------------------------------------------------------------------- categories and gaps


def test_codes_without_order_are_read_as_categories() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    s, site = rng.normal(size=n), rng.integers(0, 60, n)
    effect = rng.choice([-1.5, 1.5], 60)
    y = (rng.random(n) < expit(s + effect[site])).astype(int)
    X = np.c_[s, site]
    cal = fitted(X, y, categorical=[1], learners="trees")
    p = cal.transform(np.c_[np.zeros(60), np.arange(60)])[:, 1]
    assert np.corrcoef(p, effect)[0, 1] > 0.95


def test_texts_of_a_table_are_categories(sample: tuple[np.ndarray, np.ndarray]) -> None:
    frame, y = table(sample[0]), sample[1]
    cal = fitted(frame, y)
    assert cal.used_
    p = cal.transform(frame)
    young, old = frame["age"] < 45, frame["age"] > 55
    women = frame["sex"] == "f"
    lift = {who: p[rows & women, 1].mean() for who, rows in (("young", young), ("old", old))}
    assert lift["old"] > lift["young"] + 0.15


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_tables(library: str, sample: tuple[np.ndarray, np.ndarray]) -> None:
    frame, y = table(sample[0]), sample[1]
    other = pytest.importorskip(library)
    same = other.from_pandas(frame) if library == "polars" else other.Table.from_pandas(frame)
    np.testing.assert_allclose(
        np.asarray(fitted(same, y).transform(same)), fitted(frame, y).transform(frame), atol=1e-12
    )


def test_levels_that_the_fit_did_not_see_count_as_other_and_are_told(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    frame = table(sample[0])
    cal = fitted(frame, sample[1])
    new = frame.head(10).copy()
    new.loc[:4, "sex"] = "x"
    with pytest.warns(CalibrationWarning, match="of 'sex' hold levels that the fit did not see"):
        p = cal.transform(new)
    assert np.isfinite(p).all()


def test_missing_numbers_are_a_bin_of_their_own() -> None:
    rng = np.random.default_rng(1)
    s, gap = rng.normal(size=3000), rng.random(3000) < 0.3
    y = (rng.random(3000) < expit(s + 2 * gap)).astype(int)
    x = np.where(gap, np.nan, rng.normal(size=3000))
    cal = fitted(np.c_[s, x], y)
    p = cal.transform([[0.0, np.nan], [0.0, 0.0]])[:, 1]
    assert p[0] > p[1] + 0.25


def test_constant_columns_and_copies_of_the_label_are_read() -> None:
    X, y = people(800)
    constant = fitted(np.c_[X[:, :1], np.ones(800)], y)
    assert not constant.used_
    told = fitted(np.c_[X, y], y)  # a feature that is the label
    p = told.transform(np.c_[X, y])
    assert np.isfinite(p).all()
    assert log_loss(p, y) < 0.05


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
@given(st.integers(0, 2**20), st.booleans())
def test_whatever_the_features_rows_are_probabilities(seed: int, guard: bool) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(50, 90)), int(rng.integers(1, 4))
    s = rng.normal(size=n) * rng.choice([1.0, 1e3])
    X = np.c_[s, rng.normal(size=(n, d)) * 10.0 ** rng.integers(-200, 200, d)]
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 0] = s
    y = (rng.random(n) < 0.5).astype(int)
    y[:4] = [0, 1, 0, 1]
    cal = MulticalibrationCalibrator(input="logits", n_scores=1, guard=guard, max_trees=5)
    p = cal.fit(X, y).transform(X)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


# ---------------------------------------------------------------------- groups


def test_rows_of_a_person_do_not_pass_for_knowledge() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(120), 10)
    trait = rng.normal(size=120)[person]  # what a person's rows share, and a feature that names it
    s = rng.normal(size=1200)
    y = (rng.random(1200) < expit(s + 1.5 * trait)).astype(int)
    X = np.c_[s, rng.normal(size=120)[person]]
    options = {"input": "logits", "n_scores": 1}
    alone = MulticalibrationCalibrator(**options).fit(X, y)
    grouped = MulticalibrationCalibrator(**options).fit(X, y, groups=person)
    assert alone.used_
    assert not grouped.used_


def test_groups_of_another_length_are_refused() -> None:
    X, y = people(100)
    with pytest.raises(ValueError, match="groups"):
        MulticalibrationCalibrator(input="logits", n_scores=1).fit(X, y, groups=np.arange(90))
    with pytest.raises(ValueError, match="single unit"):
        MulticalibrationCalibrator(input="logits", n_scores=1).fit(X, y, groups=np.ones(100))


# ---------------------------------------------------------------------- bad input


def test_scores_alone_are_refused_where_features_are_declared() -> None:
    X, y = people(100)
    with pytest.raises(ValueError, match="needs feature columns after the scores"):
        fitted(X[:, 0], y)
    with pytest.raises(ValueError, match="'auto'"):
        MulticalibrationCalibrator(n_scores=2).fit(np.c_[X[:, :1] * 0, X[:, :1] * 0 + 1], y)


def test_other_columns_at_transform_are_named(sample: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = sample
    cal = fitted(X, y)
    with pytest.raises(ValueError, match=r"3 features.* expecting 4"):
        cal.transform(X[:, :3])
    cal = fitted(table(X), y)
    with pytest.raises(ValueError, match="now missing:\n- site"):
        cal.transform(table(X).drop(columns="site"))
    with pytest.raises(ValueError, match="order"):
        cal.transform(table(X)[["score", "sex", "age", "site"]])


def test_infinite_features_are_named(sample: tuple[np.ndarray, np.ndarray]) -> None:
    frame = table(sample[0])
    frame.loc[3, "age"] = np.inf
    with pytest.raises(ValueError, match=r"inf in row 3, column 1 \('age'\)"):
        fitted(frame, sample[1])


def test_missing_scores_are_refused(sample: tuple[np.ndarray, np.ndarray]) -> None:
    X = sample[0].copy()
    X[7, 0] = np.nan
    with pytest.raises(ValueError, match="row 7, column 0"):
        fitted(X, sample[1])


def test_three_classes_with_features_are_refused_with_the_way_out() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one per class against the rest"):
        MulticalibrationCalibrator(input="logits", n_scores=3).fit(
            rng.normal(size=(90, 5)), rng.integers(0, 3, 90)
        )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"learners": "tree"}, "learners must be one of"),
        ({"learning_rate": 0.0}, "learning_rate must lie in"),
        ({"penalty": 0}, "penalty must be positive"),
        ({"depth": 9}, "depth must be at most 8"),
        ({"max_trees": 0}, "max_trees must be >= 1"),
        ({"cv": 1}, "cv must be >= 2"),
        ({"guard": 1}, "guard must be one of"),
        ({"categorical": "sex"}, "categorical must be a sequence"),
        ({"categorical": ["sex"]}, "no column names"),
        ({"categorical": [0]}, "which is no feature"),
        ({"categorical": [4]}, "which is no feature"),
        ({"categorical": [1.5]}, "pass places or names"),
        ({"n_scores": 9}, "n_scores=9"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    X, y = people(100)
    with pytest.raises(ValueError, match=text):
        MulticalibrationCalibrator(**{"input": "logits", "n_scores": 1, **options}).fit(X, y)


def test_a_clone_is_unfitted_and_fits_the_same(sample: tuple[np.ndarray, np.ndarray]) -> None:
    cal = fitted(*sample)
    again = clone(cal)
    assert not hasattr(again, "classes_")
    np.testing.assert_array_equal(again.fit(*sample).transform(sample[0]), cal.transform(sample[0]))


def test_columns_that_change_between_texts_and_numbers_are_named(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    frame = table(sample[0])
    cal = fitted(frame, sample[1])
    with pytest.raises(ValueError, match="numbers in column 'sex', which held texts at fit"):
        cal.transform(frame.assign(sex=1.0))
    with pytest.raises(ValueError, match="texts in column 'age', which held numbers at fit"):
        cal.transform(frame.assign(age="old"))
    assert np.isfinite(cal.transform(frame.assign(sex=None))).all()
    with pytest.raises(ValueError, match="must hold numbers"):
        fitted(frame.assign(score="high"), sample[1])


def test_a_column_without_any_value_says_nothing(sample: tuple[np.ndarray, np.ndarray]) -> None:
    frame = table(sample[0]).assign(empty=None)
    cal = fitted(frame, sample[1])
    assert np.isfinite(cal.transform(frame)).all()
