"""Columns meet classes: by the names of a table, by labels=, by pos_label=, or by their order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import calib.evaluation as evaluation
from calib import (
    CALIBRATORS,
    CalibrationWarning,
    DegenerateScoresWarning,
    TemperatureCalibrator,
    make_calibrator,
)

pd = pytest.importorskip("pandas")

CLASSES = np.array(["ant", "cat", "dog"])
ORDERS = [[2, 0, 1], [1, 0, 2]]


def _pandas(columns: dict[Any, np.ndarray]) -> Any:
    return pd.DataFrame(columns)


def _polars(columns: dict[Any, np.ndarray]) -> Any:
    polars = pytest.importorskip("polars")
    return polars.DataFrame({str(name): column for name, column in columns.items()})


def _lazy(columns: dict[Any, np.ndarray]) -> Any:
    return _polars(columns).lazy()


def _arrow(columns: dict[Any, np.ndarray]) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.table({str(name): column for name, column in columns.items()})


def _batch(columns: dict[Any, np.ndarray]) -> Any:
    return _arrow(columns).to_batches()[0]


TABLES = [_pandas, _polars, _lazy, _arrow, _batch]
Maker = Callable[[dict[Any, np.ndarray]], Any]


@pytest.fixture(params=TABLES, ids=lambda make: make.__name__.strip("_"))
def table(request: pytest.FixtureRequest) -> Maker:
    return request.param  # type: ignore[no-any-return]


def three(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits, probabilities and labels of three classes."""
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, 3))
    y = CLASSES[(z + rng.gumbel(size=z.shape)).argmax(axis=1)]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return z, p / p.sum(axis=1, keepdims=True), y


def two(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return P(diseased) and labels; "healthy" is the second in sort order."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p, np.where(rng.random(n) < p**2, "diseased", "healthy")


def loss(y: Any, p: Any, **options: Any) -> float:
    """Return the squared error summed over classes (binary: of the event), which knows columns."""
    return float(evaluation.score_decomposition(y, p, average="classwise", **options).score)


def columns_of(matrix: np.ndarray, names: Any, order: Any) -> dict[Any, np.ndarray]:
    plain = names.tolist() if isinstance(names, np.ndarray) else names
    return {plain[k]: matrix[:, k] for k in order}


# ----------------------------------------------------------------------------- calibrators


@pytest.mark.parametrize("method", sorted(CALIBRATORS))
def test_names_decide_in_every_calibrator(method: str) -> None:
    z, _, y = three()
    plain = make_calibrator(method, input="logits").fit(z, y)
    for order in ORDERS:
        frame = pd.DataFrame(columns_of(z, CLASSES, order))
        named = make_calibrator(method, input="logits").fit(frame, y)
        np.testing.assert_array_equal(named.classes_, CLASSES)
        np.testing.assert_allclose(named.transform(frame), plain.transform(z))


@pytest.mark.parametrize("order", ORDERS)
def test_names_decide_in_every_kind_of_table(table: Maker, order: list[int]) -> None:
    z, p, y = three()
    for matrix, kind in ((z, "logits"), (p, "proba")):
        plain = TemperatureCalibrator(input=kind).fit(matrix, y)  # type: ignore[arg-type]
        cal = TemperatureCalibrator(input=kind)  # type: ignore[arg-type]
        cal.fit(table(columns_of(matrix, CLASSES, order)), y)
        assert cal.temperature_ == pytest.approx(plain.temperature_)
        expected = plain.transform(matrix)
        for other in ([0, 1, 2], *ORDERS):  # the order of the fit or another one
            found = cal.transform(table(columns_of(matrix, CLASSES, other)))
            np.testing.assert_allclose(found, expected)
            found = cal.predict_proba(table(columns_of(matrix, CLASSES, other)))
            np.testing.assert_allclose(found, expected)


@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
def test_a_fit_on_an_array_reads_a_table_by_name(table: Maker) -> None:
    z, _, y = three()
    cal = TemperatureCalibrator(input="logits").fit(z, y)
    found = cal.transform(table(columns_of(z, CLASSES, [2, 0, 1])))
    np.testing.assert_allclose(found, cal.transform(z))


def test_an_array_after_a_table_in_another_order_is_refused() -> None:
    z, _, y = three()
    cal = TemperatureCalibrator(input="logits")
    cal.fit(pd.DataFrame(columns_of(z, CLASSES, [2, 0, 1])), y)
    with pytest.raises(ValueError, match="order"):
        cal.transform(z)


@pytest.mark.parametrize("names", ["p_{}", "calibrated_{}", "{}_prob", "logit of {}"])
@pytest.mark.parametrize("order", ORDERS)
def test_names_around_the_labels_decide(names: str, order: list[int]) -> None:
    z, _, y = three()
    plain = TemperatureCalibrator(input="logits").fit(z, y)
    frame = pd.DataFrame(columns_of(z, [names.format(label) for label in CLASSES], order))
    cal = TemperatureCalibrator(input="logits").fit(frame, y)
    np.testing.assert_allclose(cal.transform(frame), plain.transform(z))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([0, 1, 2]), [0, 1, 2]),
        (np.array([0, 1, 2]), ["0", "1", "2"]),
        (np.array([1, 2, 3]), ["1", "2", "3"]),
        (np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]),
        (np.array([-1, 0, 1]), ["-1", "0", "1"]),
        (np.array(["a", "b", "c"], dtype=object), ["a", "b", "c"]),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_names_are_compared_with_labels_of_every_type(
    labels: np.ndarray, names: list[Any], order: list[int]
) -> None:
    z, p, y = three()
    y = labels[np.searchsorted(CLASSES, y)]
    frame = pd.DataFrame(columns_of(z, names, order))
    plain = TemperatureCalibrator(input="logits").fit(z, y)
    cal = TemperatureCalibrator(input="logits").fit(frame, y)
    assert cal.temperature_ == pytest.approx(plain.temperature_)
    found = loss(y, pd.DataFrame(columns_of(p, names, order)))
    assert found == pytest.approx(loss(y, p))


@pytest.mark.parametrize("names", [[False, True], ["False", "True"], ["false", "true"], ["0", "1"]])
def test_names_are_compared_with_boolean_labels(names: list[Any]) -> None:
    p, y = two()
    columns = np.stack([p, 1 - p], axis=1)
    truth = y == "healthy"
    frame = pd.DataFrame(columns_of(columns, names, [1, 0]))
    found = loss(truth, frame)
    assert found == pytest.approx(loss(truth, columns))


def test_two_columns_of_a_table_are_read_by_name(table: Maker) -> None:
    p, y = two()
    columns = np.stack([p, 1 - p], axis=1)
    names = ["diseased", "healthy"]
    plain = TemperatureCalibrator().fit(columns, y)
    cal = TemperatureCalibrator().fit(table(columns_of(columns, names, [1, 0])), y)
    assert cal.temperature_ == pytest.approx(plain.temperature_)


def test_names_know_classes_that_the_labels_lack(table: Maker) -> None:
    z, _p, y = three()
    kept = y != "cat"
    columns = columns_of(z[kept], CLASSES, [2, 0, 1])
    cal = TemperatureCalibrator(input="logits").fit(table(columns), y[kept])
    np.testing.assert_array_equal(cal.classes_, CLASSES)
    expected = TemperatureCalibrator(input="logits").fit(z[kept], y[kept], labels=CLASSES)
    assert cal.temperature_ == expected.temperature_


def test_names_that_fit_only_some_labels_are_a_contradiction(table: Maker) -> None:
    z, p, y = three()
    names = ["bird", "cat", "dog"]
    with pytest.raises(ValueError, match=r"'ant'.*no column"):
        TemperatureCalibrator(input="logits").fit(table(columns_of(z, names, [0, 1, 2])), y)
    with pytest.raises(ValueError, match=r"'ant'.*no column"):
        loss(y, table(columns_of(p, names, [0, 1, 2])))


def test_default_names_of_pandas_are_no_names() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    y = 1 + (p.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1)
    assert loss(y, pd.DataFrame(p)) == loss(y, p)
    one = pd.DataFrame(p[:, [1]])  # its only column has the default name 0
    truth = (y == 2).astype(int)
    assert loss(truth, one) == loss(truth, p[:, 1])
    assert loss(truth, one[0]) == loss(truth, p[:, 1])


def test_features_after_the_scores_are_not_named_by_classes() -> None:
    from calib import SplitPointCalibrator

    rng = np.random.default_rng(0)
    s, group = rng.normal(size=300), rng.integers(0, 2, 300)
    y = np.where(rng.random(300) < 1 / (1 + np.exp(-s)), "yes", "no")
    frame = pd.DataFrame({"yes": s, "group": group.astype(float)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        named = SplitPointCalibrator(input="logits", n_scores=1).fit(frame, y)
        plain = SplitPointCalibrator(input="logits", n_scores=1).fit(frame.to_numpy(), y)
    np.testing.assert_allclose(named.transform(frame), plain.transform(frame.to_numpy()))


# ----------------------------------------------------------------------------- labels=, pos_label=


def test_labels_settle_the_order_of_plain_columns() -> None:
    z, _, y = three()
    plain = TemperatureCalibrator(input="logits").fit(z, y)
    cal = TemperatureCalibrator(input="logits").fit(z[:, [2, 0, 1]], y, labels=CLASSES[[2, 0, 1]])
    assert cal.temperature_ == pytest.approx(plain.temperature_)
    np.testing.assert_array_equal(cal.classes_, CLASSES[[2, 0, 1]])
    assert list(cal.get_feature_names_out()) == ["dog", "ant", "cat"]


def test_labels_settle_absent_classes() -> None:
    rng = np.random.default_rng(1)
    z = 2 * rng.normal(size=(500, 4))
    y = 1 + (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    kept = y < 4  # the last of 1..4 is absent
    with pytest.warns(DegenerateScoresWarning) as caught:
        TemperatureCalibrator(input="logits").fit(z[kept], y[kept])
    text = " ".join(str(warning.message) for warning in caught)
    assert "labels=" in text
    assert "1..4" in text
    assert "shifted" in text
    cal = TemperatureCalibrator(input="logits").fit(z[kept], y[kept], labels=[1, 2, 3, 4])
    assert 0.5 < cal.temperature_ < 2
    for name in ("expected_calibration_error", "score_decomposition", "calibration_report"):
        with pytest.warns(CalibrationWarning, match=r"1\.\.4"):
            getattr(evaluation, name)(y[kept], np.full((int(kept.sum()), 4), 0.25))


@pytest.mark.parametrize("labels", [["ant", "cat"], ["ant", "cat", "cat"], ["ant", "cat", "emu"]])
def test_labels_that_do_not_fit_are_refused(labels: list[str]) -> None:
    z, _, y = three()
    with pytest.raises(ValueError, match=r"labels|emu|dog"):
        TemperatureCalibrator(input="logits").fit(z, y, labels=labels)


def test_names_decide_over_the_order_of_labels(table: Maker) -> None:
    _z, p, y = three()
    columns = columns_of(p, CLASSES, [0, 1, 2])
    found = loss(y, table(columns), labels=CLASSES[[2, 0, 1]])
    assert found == pytest.approx(loss(y, p))
    plain = TemperatureCalibrator().fit(p, y)
    cal = TemperatureCalibrator().fit(table(columns), y, labels=CLASSES[[2, 0, 1]])
    assert cal.temperature_ == pytest.approx(plain.temperature_)
    np.testing.assert_array_equal(cal.classes_, CLASSES[[2, 0, 1]])
    np.testing.assert_allclose(cal.transform(table(columns)), plain.transform(p)[:, [2, 0, 1]])


@pytest.mark.parametrize("method", sorted(CALIBRATORS))
def test_pos_label_names_the_class_of_one_column(method: str) -> None:
    p, y = two()
    p = np.clip(p, 0.01, 0.99)
    plain = make_calibrator(method).fit(p, (y == "diseased").astype(int)).transform(p)
    cal = make_calibrator(method).fit(p, y, pos_label="diseased")
    np.testing.assert_array_equal(cal.classes_, ["healthy", "diseased"])
    np.testing.assert_allclose(cal.transform(p), plain)
    cal = make_calibrator(method).fit(p, y, labels=["healthy", "diseased"])
    np.testing.assert_allclose(cal.transform(p), plain)


def test_the_name_of_one_column_is_its_class(table: Maker) -> None:
    p, y = two()
    truth = (y == "diseased").astype(int)
    for name in ("diseased", "p_diseased", "prob.diseased"):
        one = table({name: p})
        cal = TemperatureCalibrator().fit(one, y)
        np.testing.assert_array_equal(cal.classes_, ["healthy", "diseased"])
        assert cal.temperature_ == TemperatureCalibrator().fit(p, truth).temperature_
        assert loss(y, one) == loss(truth, p)
    series = pd.Series(p, name="diseased")
    assert loss(y, series) == loss(truth, p)
    with pytest.raises(ValueError, match="pos_label"):
        loss(y, series, pos_label="healthy")
    cal = TemperatureCalibrator().fit(p, y, pos_label="diseased")
    with pytest.raises(ValueError, match="healthy"):
        cal.transform(pd.Series(1 - p, name="healthy"))


@pytest.mark.parametrize("name", ["p_not_diseased", "prediabetes", "undiseased", "risk", "0"])
def test_a_name_that_is_no_class_decides_nothing(name: str) -> None:
    p, y = two()
    one = pd.DataFrame({name: 1 - p})
    assert loss(y, one) == loss(y, 1 - p)


def test_pos_label_is_checked() -> None:
    p, y = two()
    for call in (
        lambda: TemperatureCalibrator().fit(p, y, pos_label="ill"),
        lambda: loss(y, p, pos_label="ill"),
    ):
        with pytest.raises(ValueError, match=r"pos_label.*'ill'"):
            call()
    _z, q, truth = three()
    for call in (
        lambda: TemperatureCalibrator().fit(q, truth, pos_label="ant"),
        lambda: loss(truth, q, pos_label="ant"),
    ):
        with pytest.raises(ValueError, match=r"pos_label.*two classes"):
            call()


def test_pos_label_knows_a_class_that_the_labels_lack() -> None:
    p = [0.25, 0.5]
    found = loss(["healthy", "healthy"], p, pos_label="diseased")
    assert found == loss([0, 0], p)


def test_pos_label_of_two_columns_is_the_class_of_the_binary_view() -> None:
    p, y = two()
    columns = np.stack([p, 1 - p], axis=1)
    found = evaluation.expected_calibration_error(
        y, columns, average="binary", pos_label="diseased", n_bins=7
    )
    assert found == evaluation.expected_calibration_error(
        (y == "diseased").astype(int), p, average="binary", n_bins=7
    )


# ----------------------------------------------------------------------------- evaluation


def _calls() -> dict[str, Callable[..., Any]]:
    names = [
        "expected_calibration_error",
        "adaptive_calibration_error",
        "average_calibration_error",
        "maximum_calibration_error",
        "brier_decomposition",
        "cumulative_calibration_error",
        "cumulative_calibration_test",
        "signed_cumulative_error",
        "signed_calibration_error",
        "dirichlet_calibration_error",
        "smooth_calibration_error",
        "ks_calibration_error",
        "sweep_calibration_error",
        "density_calibration_error",
        "kernel_calibration_error",
        "squared_calibration_error",
        "integrated_calibration_index",
        "maximum_mean_calibration_error",
    ]
    calls: dict[str, Callable[..., Any]] = {
        name: getattr(evaluation, name) for name in names if hasattr(evaluation, name)
    }
    calls["calibration_report"] = lambda y, p, **k: evaluation.calibration_report(
        y, p, n_resamples=20, measures="all", **k
    ).to_dict()
    calls["calibration_report of models"] = lambda y, p, **k: evaluation.calibration_report(
        y, {"a": p, "b": p}, n_resamples=20, **k
    ).to_dict()
    calls["score_decomposition"] = evaluation.score_decomposition
    calls["cumulative_calibration_curve"] = evaluation.cumulative_calibration_curve
    calls["binned_calibration_table"] = evaluation.binned_calibration_table
    calls["calibration_tests"] = lambda y, p, **k: evaluation.calibration_tests(
        y, p, n_resamples=39, random_state=0, **k
    )
    calls["metric_interval"] = lambda y, p, **k: evaluation.metric_interval(
        lambda y, p: loss(y, p, labels=k.get("labels", np.unique(y))),
        y,
        p,
        n_resamples=10,
        random_state=0,
        method="percentile",
    )
    calls["score_difference_sequence"] = lambda y, p, **k: evaluation.score_difference_sequence(
        y, p, np.full(p.shape, 1 / p.shape[1] if len(p.shape) == 2 else 0.5), **k
    )
    calls["segment_report"] = lambda y, p, **k: evaluation.segment_report(
        y, p, np.arange(len(y)) % 2, **k
    )
    calls["multicalibration_error"] = lambda y, p, **k: evaluation.multicalibration_error(
        y, p, np.arange(len(y)) % 2, **k
    )
    calls["measurement_table"] = lambda y, p, **k: evaluation.measurement_table(y, p, p, **k)
    return calls


def _flat(value: Any) -> str:
    return repr(value.to_dict() if hasattr(value, "to_dict") else value)


@pytest.mark.parametrize("name", sorted(_calls()))
def test_names_decide_in_evaluation(name: str) -> None:
    _, p, y = three()
    call = _calls()[name]
    expected = _flat(call(y, p))
    for order in ORDERS:
        for make in (_pandas, _polars, _arrow):
            assert _flat(call(y, make(columns_of(p, CLASSES, order)))) == expected


def test_names_decide_in_the_comparison_of_two_models() -> None:
    _, p, y = three()
    _, q, _ = three(seed=1)
    expected = evaluation.post_hoc_improvement(y, p, q, n_resamples=19, random_state=0)
    found = evaluation.post_hoc_improvement(
        y,
        _arrow(columns_of(p, CLASSES, [2, 0, 1])),
        _polars(columns_of(q, CLASSES, [1, 0, 2])),
        n_resamples=19,
        random_state=0,
    )
    assert repr(found) == repr(expected)


def test_names_decide_in_the_accumulator(table: Maker) -> None:
    _, p, y = three()
    plain = evaluation.CalibrationAccumulator(3, labels=CLASSES).update(y, p)
    named = evaluation.CalibrationAccumulator(3, labels=CLASSES)
    named.update(y, table(columns_of(p, CLASSES, [2, 0, 1])))
    np.testing.assert_array_equal(named.sums, plain.sums)


def test_the_accumulator_reads_one_column_by_name_or_pos_label() -> None:
    p, y = two()
    plain = evaluation.CalibrationAccumulator(2).update((y == "diseased").astype(int), p)
    labels = ["diseased", "healthy"]
    given = evaluation.CalibrationAccumulator(2, labels=labels, pos_label="diseased").update(y, p)
    np.testing.assert_array_equal(given.sums, plain.sums)
    given = evaluation.CalibrationAccumulator(2, labels=["healthy", "diseased"])
    given.update(y, pd.DataFrame({"diseased": p}))
    np.testing.assert_array_equal(given.sums, plain.sums)


@pytest.mark.parametrize("display", ["ReliabilityDisplay", "CumulativeDisplay"])
def test_names_decide_in_displays(display: str) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    _, p, y = three()
    make = getattr(evaluation, display).from_predictions
    pictures = [
        make(y, given, band=False) for given in (p, _pandas(columns_of(p, CLASSES, [2, 0, 1])))
    ]
    lines = [picture.ax_.lines[-1].get_xydata() for picture in pictures]
    np.testing.assert_array_equal(lines[0], lines[1])
    plt.close("all")


def test_pos_label_is_taken_wherever_labels_are() -> None:
    """Every public function of evaluation that reads labels= reads pos_label= as well."""
    import inspect

    lacking = []
    for name in evaluation.__all__:
        value = getattr(evaluation, name)
        functions = [value] if inspect.isfunction(value) else []
        if inspect.isclass(value):
            functions = [value.from_predictions] if hasattr(value, "from_predictions") else []
        for function in functions:
            parameters = inspect.signature(function).parameters
            if "labels" in parameters and "y_true" in parameters and "pos_label" not in parameters:
                lacking.append(name)
    assert not lacking


@pytest.mark.parametrize("name", sorted(set(_calls()) - {"metric_interval"}))
def test_pos_label_in_evaluation(name: str) -> None:
    p, y = two()
    call = _calls()[name]
    expected = _flat(call(np.where(y == "diseased", "z", "healthy"), p))
    found = _flat(call(y, p, pos_label="diseased"))
    assert found.replace("diseased", "z") == expected


# ----------------------------------------------------------------------------- text that counts


@pytest.mark.parametrize("form", ["{}", "class_{}", "c{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_texts_of_numbers_over_an_array_are_warned_of(form: str, first: int) -> None:
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(600, 12))
    codes = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    y = np.array([form.format(first + k) for k in codes])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    with pytest.warns(DegenerateScoresWarning) as caught:
        TemperatureCalibrator(input="logits").fit(z, y)
    text = " ".join(str(warning.message) for warning in caught)
    assert "sort as text" in text
    assert "stand in another order" in text  # and the evidence
    with pytest.warns(CalibrationWarning, match="sort as text"):
        loss(y, p)
    names = [form.format(first + k) for k in range(12)]
    right = loss(codes, p)
    assert loss(y, p, labels=names) == right
    assert loss(y, pd.DataFrame(p, columns=names)) == pytest.approx(right)
    assert loss(y, pd.DataFrame(p, columns=names)[names[::-1]]) == pytest.approx(right)


def test_texts_that_sort_like_their_numbers_are_not_warned_of() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(10), 300)
    y = np.array([str(k) for k in (p.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1)])
    loss(y, p)
    loss(np.char.zfill(y, 2), p)


def test_labels_of_another_type_than_the_classes_are_named() -> None:
    p = [[0.9, 0.1], [0.2, 0.8]]
    with pytest.raises(ValueError, match=r"y_true.*numbers.*labels.*text"):
        loss([0, 1], p, labels=["0", "1"])
    with pytest.raises(ValueError, match=r"y_true.*text.*labels.*numbers"):
        loss(["0", "1"], p, labels=[0, 1])


# ----------------------------------------------------------------------------- many columns


@pytest.mark.parametrize("shape", ["named", "prefixed"])
def test_matching_names_is_linear(shape: str) -> None:
    import time

    n_columns = 100_000
    form = "p_{}" if shape == "prefixed" else "{}"
    names = [form.format(k) for k in range(n_columns)][::-1]
    p = np.zeros((3, n_columns))
    p[:, -6] = 1  # the column of class 5
    frame = pd.DataFrame(p, columns=names)
    start = time.process_time()
    found = evaluation.expected_calibration_error([5, 5, 5], frame, average="top_label")
    assert time.process_time() - start < 5
    assert found == 0
