"""Two samples of one population or of two: what is found, in what words, and what is refused."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from calib import DegenerateScoresWarning
from uq import DistributionShift, SharedRowsWarning, distribution_shift_test

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


def people(n: int, seed: int, *, older: float = 0.0) -> pd.DataFrame:
    """Return a table with numbers, categories, truth values and missing values."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(40 + older, 10, n)),
            "city": rng.choice(["Rome", "Oslo", "Lima"], n),
            "member": rng.random(n) < 0.4,
            "income": rng.lognormal(10, 1, n),
        }
    )


def sentences(n: int, seed: int, words: str) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words.split(), 12)) for _ in range(n)]


COMMON = "the a of to and in is was for on with as by at from"


# --------------------------------------------------------------------------------- what is found


def test_one_population_shows_no_difference() -> None:
    result = distribution_shift_test(people(150, 0), people(120, 1), random_state=0)
    assert isinstance(result, DistributionShift)
    assert not result.differs
    assert result.p_value > 0.05
    assert result.auroc.low < 0.5 < result.auroc.high
    assert result.headline.startswith("No difference that these samples can show: AUROC 0.")
    assert (result.n_a, result.n_b, result.n_folds, result.n_permutations) == (150, 120, 5, 999)
    assert (result.shared_in_a, result.shared_in_b) == (0, 0)


def test_the_column_that_moved_is_named_with_its_means() -> None:
    a, b = people(150, 0), people(150, 1, older=12)
    result = distribution_shift_test(a, b, random_state=0)
    first = result.separating[0]
    assert result.differs
    assert result.p_value == 0.001
    assert (first.name, first.direction) == ("age", "higher in b")
    assert first.mean_a == pytest.approx(a["age"].mean())
    assert first.mean_b == pytest.approx(b["age"].mean())
    assert "most by `age`, higher in b" in result.headline
    back = distribution_shift_test(b, a, random_state=0)
    assert back.separating[0].direction == "lower in b"
    assert sum(feature.coefficient**2 for feature in result.separating) == pytest.approx(1)
    names = {feature.name for feature in result.separating}
    assert names == {
        "age", "age is missing", "city = Rome", "city = Oslo", "city = Lima", "member", "income",
    }  # fmt: skip


def test_a_level_and_a_missing_value_are_found() -> None:
    a, b = people(150, 0), people(150, 1)
    b.loc[:60, "city"] = "Oslo"
    result = distribution_shift_test(a, b, random_state=0)
    assert result.separating[0].name == "city = Oslo"
    assert result.separating[0].mean_b == (b["city"] == "Oslo").mean()
    b = people(150, 1)
    b.loc[:70, "age"] = np.nan
    result = distribution_shift_test(a, b, random_state=0)
    assert result.separating[0].name == "age is missing"


def test_words_and_lengths_of_texts_are_found() -> None:
    a, b = sentences(80, 0, COMMON), sentences(80, 1, f"{COMMON} whale whale")
    result = distribution_shift_test(a, b, random_state=0)
    first = result.separating[0]
    assert (first.name, first.mean_a) == ('"whale"', 0.0)
    assert first.mean_b == pytest.approx(np.mean(["whale" in text for text in b]))
    longer = [f"{text} {text}" for text in sentences(80, 2, COMMON)]
    assert distribution_shift_test(a, longer, random_state=0).differs
    assert not distribution_shift_test(a, sentences(80, 3, COMMON), random_state=0).differs


def test_texts_in_a_table_are_named_by_their_column() -> None:
    a, b = people(80, 0), people(80, 1)
    a["answer"], b["answer"] = sentences(80, 0, COMMON), sentences(80, 1, f"{COMMON} no no")
    with pytest.raises(ValueError, match=r"pass texts=\['answer'\]"):
        distribution_shift_test(a, b)
    result = distribution_shift_test(a, b, texts=["answer"], random_state=0)
    assert result.separating[0].name == 'answer: "no"'


def test_p_value_of_four_rows_by_all_arrangements() -> None:
    """Two rows against two: one arrangement of six is as extreme, and its mirror image."""
    result = distribution_shift_test([[0.0], [1.0]], [[2.0], [3.0]], n_permutations=5999)
    assert result.p_value == pytest.approx(1 / 3, abs=0.03)
    x = np.array([0.3, 0.9, -1.2, 2.2, 1.1, 3.0, 2.5])
    scores = np.argsort(np.argsort(x))
    from scipy.stats import norm

    scores = norm.ppf((scores + 0.5) / 7)
    gap = [
        abs(scores[list(chosen)].mean() - scores.mean())
        for chosen in itertools.combinations(range(7), 3)
    ]
    observed = abs(scores[4:].mean() - scores.mean())
    exact = np.mean(np.array(gap) >= observed - 1e-12)
    result = distribution_shift_test(x[:4], x[4:], n_permutations=9999, random_state=1)
    assert result.p_value == pytest.approx(exact, abs=0.015)


def test_monotone_transformations_and_outliers_change_nothing() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 3)), rng.normal(0.2, 1, (50, 3))
    plain = distribution_shift_test(a, b, random_state=0)
    bent = distribution_shift_test(np.exp(9 * a), np.exp(9 * b), random_state=0)
    assert (plain.p_value, plain.auroc) == (bent.p_value, bent.auroc)


def test_more_features_than_rows_and_fewer_agree() -> None:
    """Copies of columns change nothing but the side on which the equations are solved."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(15, 8)), rng.normal(0.5, 1, (14, 8))
    few = distribution_shift_test(a, b, random_state=0)
    many = distribution_shift_test(np.tile(a, 5), np.tile(b, 5), random_state=0)
    assert many.p_value == few.p_value
    assert many.auroc.value == few.auroc.value


# ---------------------------------------------------------------------------------------- options


def test_rows_of_a_unit_stay_together() -> None:
    """Repeated rows of 20 units look like evidence unless the units are told."""
    rng = np.random.default_rng(3)
    units = rng.normal(size=(20, 3))
    groups = np.repeat(np.arange(20), 15)
    x = units[groups] + 0.01 * rng.normal(size=(300, 3))
    a, b, pair = x[:150], x[150:], (groups[:150], groups[150:])
    alone = distribution_shift_test(a, b, random_state=0)
    together = distribution_shift_test(a, b, groups=pair, random_state=0)
    assert alone.p_value == 0.001
    assert together.p_value > 0.05
    assert together.auroc.high - together.auroc.low > 2 * (alone.auroc.high - alone.auroc.low)
    assert (together.n_units_a, together.n_units_b) == (10, 10)
    assert "in 10 and 10 groups" in together.heading


def test_units_count_once_however_many_rows_they_have() -> None:
    """Four rows a unit in one sample, one in the other: the p-value is that of the unit means."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 4)
    a = rng.normal(size=(50, 3))[groups] + rng.normal(size=(200, 3))
    b = rng.normal(0, np.sqrt(2), size=(60, 3)) + np.array([1.0, 0.0, 0.0])
    found = distribution_shift_test(a, b, groups=(groups, 100 + np.arange(60)), random_state=0)
    assert found.differs
    assert found.auroc.low > 0.5
    turned = distribution_shift_test(b, a, groups=(100 + np.arange(60), groups), random_state=0)
    assert turned.differs


def test_units_in_both_samples_are_compared_with_themselves() -> None:
    rng = np.random.default_rng(4)
    level = rng.normal(0, 5, (60, 1))
    a, b = level + rng.normal(0, 0.3, (60, 1)), level + 0.4 + rng.normal(0, 0.3, (60, 1))
    units = [f"question {number}" for number in range(60)]
    assert not distribution_shift_test(a, b, random_state=0).differs
    assert distribution_shift_test(a, b, groups=(units, units), random_state=0).differs


def test_level_permutations_and_seed() -> None:
    a, b = people(60, 0), people(60, 5)
    few = distribution_shift_test(a, b, n_permutations=19, random_state=0)
    assert (few.n_permutations, few.p_value * 20 % 1) == (19, pytest.approx(0, abs=1e-9))
    wide = distribution_shift_test(a, b, confidence_level=0.999, random_state=0)
    usual = distribution_shift_test(a, b, random_state=0)
    assert wide.auroc.low < usual.auroc.low
    assert wide.auroc.confidence_level == 0.999
    assert usual.to_dict() == distribution_shift_test(a, b, random_state=0).to_dict()
    lax = distribution_shift_test(a, b, confidence_level=1 - usual.p_value - 1e-6, random_state=0)
    assert lax.differs and not usual.differs  # noqa: PT018


# --------------------------------------------------------------------------------- kinds of input


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: frame,
        lambda frame: pl.from_pandas(frame),
        lambda frame: pa.Table.from_pandas(frame),
        lambda frame: {name: frame[name].tolist() for name in frame},
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype({"city": "category"}),
        lambda frame: frame[["income", "member", "city", "age"]],
    ],
    ids=["pandas", "polars", "arrow", "mapping", "nullable", "category", "other order"],
)
def test_tables_of_all_kinds_say_the_same(make) -> None:
    a, b = people(60, 0), people(50, 1, older=8)
    expected = distribution_shift_test(a, b, random_state=0)
    result = distribution_shift_test(a, make(b), random_state=0)
    assert result.p_value == expected.p_value
    assert result.auroc.value == pytest.approx(expected.auroc.value)
    assert [f.name for f in result.separating] == [f.name for f in expected.separating]
    both = distribution_shift_test(make(a), make(b), random_state=0)
    assert both.p_value == pytest.approx(expected.p_value, abs=0.02)


def test_columns_without_names_are_numbered() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 2)), rng.normal([0, 2], 1, (40, 2))
    for kind in (np.asarray, np.ndarray.tolist, pd.DataFrame, lambda x: x.astype(object)):
        result = distribution_shift_test(kind(a), kind(b), random_state=0)
        assert result.separating[0].name == "column 1"
    one = distribution_shift_test(a[:, 1], pd.Series(b[:, 1]), random_state=0)
    assert one.separating[0].name == "column 0"


def test_odd_texts_are_texts() -> None:
    a = ["", None, "\x00", "\ud800 half", "word " * 200_000, float("nan")] * 3
    b = ["plain words", "other words", "more words"] * 6
    result = distribution_shift_test(a, b, random_state=0)
    assert result.differs
    result.to_dict()
    str(result)


def test_rows_in_both_samples_are_counted_and_warned_of() -> None:
    a, b = people(60, 0), people(50, 1)
    b.iloc[:7] = a.iloc[:7]
    with pytest.warns(SharedRowsWarning, match="7 rows of a and 7 of b are identical"):
        result = distribution_shift_test(a, b, random_state=0)
    assert (result.shared_in_a, result.shared_in_b) == (7, 7)
    assert "7 rows of a and 7 of b are identical" in str(result)
    rng = np.random.default_rng(0)
    dice = rng.integers(1, 7, (200, 1))  # equal rows are no wonder
    assert distribution_shift_test(dice[:100], dice[100:], random_state=0).shared_in_a == 100


def test_constant_columns_are_left_out_and_all_of_them_warned_of() -> None:
    a, b = people(60, 0), people(50, 1)
    plain = distribution_shift_test(a, b, random_state=0)
    constant = distribution_shift_test(a.assign(one=1.0, word="x"), b.assign(one=1.0, word="x"),
                                       random_state=0)  # fmt: skip
    assert constant.to_dict() == plain.to_dict()
    for same in (np.ones((30, 2)), ["the same"] * 30, [""] * 30, np.full((30, 1), np.nan)):
        with pytest.warns(DegenerateScoresWarning, match="every column is constant"):
            nothing = distribution_shift_test(same, same[:20], random_state=0)
        assert (nothing.p_value, nothing.auroc.value, nothing.separating) == (1.0, 0.5, ())
        assert "No difference" in str(nothing)


GOOD = np.arange(20.0).reshape(10, 2)
BAD = {
    "one row": (GOOD[:1], GOOD, {}, "a has 1 row; two or more"),
    "no row": (GOOD, GOOD[:0], {}, "b has no rows"),
    "other columns": ({"x": [1, 2], "y": [1, 2]}, {"x": [1, 2]}, {}, r"a has columns.*\['y'\]"),
    "more columns": ({"x": [1, 2]}, {"x": [1, 2], "z": [1, 2]}, {}, r"b has columns.*\['z'\]"),
    "widths": (GOOD, GOOD[:, :1], {}, "a has columns that b lacks: .'column 1'"),
    "kinds": ({"x": [1, 2]}, {"x": ["u", "v"]}, {}, "'x' holds numbers in a and texts in b"),
    "inf": (GOOD, np.where(GOOD == 3, np.inf, GOOD), {}, "'column 1' of b is inf in row 1"),
    "dates": ({"t": pd.to_datetime(["2020", "2021"])}, {"t": pd.to_datetime(["2020", "2021"])},
              {}, "subtract a start"),
    "lengths": ({"x": [1, 2], "y": [1]}, {"x": [1, 2], "y": [1, 2]}, {}, "different lengths"),
    "unknown text": ({"x": [1, 2]}, {"x": [1, 2]}, {"texts": ["y"]}, r"there are not: \['y'\]"),
    "text option": ({"x": [1, 2]}, {"x": [1, 2]}, {"texts": "x"}, "sequence of column names"),
    "groups": (GOOD, GOOD, {"groups": np.arange(20)}, "groups must be a pair"),
    "group length": (GOOD, GOOD, {"groups": ([1], [1] * 10)}, "groups of a has 1 entries for 10"),
    "one group": (GOOD, GOOD + 100.5, {"groups": ([1] * 10, range(10))}, "a has 1 group"),
    "level": (GOOD, GOOD, {"confidence_level": 95}, "divide by 100"),
    "permutations": (GOOD, GOOD, {"n_permutations": 5}, "n_permutations must be >= 19"),
    "cube": (np.zeros((2, 2, 2)), GOOD, {}, r"a must have shape \(n_rows, n_columns\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_argument(case: str) -> None:
    a, b, options, text = BAD[case]
    with pytest.raises(ValueError, match=text):
        distribution_shift_test(a, b, **options)


@pytest.mark.parametrize(
    ("a", "text"),
    [("one text", "a must hold one row"), (3, "a must hold one row"), (None, "a must hold"),
     ({"x": [{}, {}]}, "pass numbers, or texts"), (["a", 3], "a holds 3 in row 1")],
)  # fmt: skip
def test_what_is_no_sample_is_refused(a: object, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        distribution_shift_test(a, a)


def test_weights_are_not_offered() -> None:
    with pytest.raises(TypeError, match="sample_weight"):
        distribution_shift_test(GOOD, GOOD, sample_weight=np.ones(10))  # type: ignore[call-arg]


# ---------------------------------------------------------------------------------- what it says


def test_numbers_frame_and_page(tmp_path: Path) -> None:
    a, b = people(60, 0), people(60, 1, older=15).rename(columns={})
    result = distribution_shift_test(a, b, random_state=0)
    numbers = json.loads(json.dumps(result.to_dict()))
    assert numbers["separating"][0]["name"] == "age"
    assert numbers["auroc"]["value"] == result.auroc.value
    assert numbers["differs"] is True
    frame = result.to_frame()
    assert list(frame.columns) == ["feature", "coefficient", "direction", "mean_a", "mean_b"]
    assert len(frame) == len(result.separating)
    area = f"AUROC {result.auroc.value:.2f} ({result.auroc.low:.2f} to {result.auroc.high:.2f})"
    assert area in result.headline
    assert "not spreads or combinations" in " ".join(result.details().split())
    evil = distribution_shift_test(
        a.rename(columns={"age": "<b>age"}), b.rename(columns={"age": "<b>age"}), random_state=0
    )
    evil.to_html(tmp_path / "shift.html")
    page = (tmp_path / "shift.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;age" in page
    assert "<b>age" not in page


@pytest.mark.shared_data
def test_questions_of_two_subjects(shared_data: Path) -> None:
    questions = pd.read_csv(shared_data / "llm" / "mmlupro_questions.csv.gz")
    law = questions[questions["category"] == "law"]["question"]
    physics = questions[questions["category"] == "physics"]["question"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SharedRowsWarning)
        assert distribution_shift_test(law, physics, n_permutations=99, random_state=0).differs
        mixed = questions["question"].sample(400, random_state=1)
        same = distribution_shift_test(mixed[:200], mixed[200:], random_state=0)
    assert not same.differs
