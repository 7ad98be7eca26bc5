"""What a reader sees in terminal, page and paper where names or samples are unusual."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit, softmax

from calib.evaluation import CalibrationReport, calibration_report
from tests.support.answers import events, impossible, logits

NO_BREAK = "\N{NO-BREAK SPACE}"
#: Signs that keep the direction of a name to itself.
ISOLATES = dict.fromkeys(range(0x2066, 0x206A))
VOID = {"meta", "br", "hr", "img", "col", "input", "link", "wbr"}


class Seen(NamedTuple):
    """A report as its reader sees it: words of the forms, white space aside."""

    text: str
    details: str
    page: str
    latex: str
    source: str  # of the page


class _Page(HTMLParser):
    """Words of a page; tags have to be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def flat(text: str) -> str:
    return " ".join(text.translate(ISOLATES).replace(NO_BREAK, " ").split())


def seen(report: CalibrationReport) -> Seen:
    """Return the forms of a report, after what holds of all of them was checked."""
    text, details, latex = str(report), report.details(), report.to_latex()
    source = report._repr_html_()
    page = _Page()
    page.feed(source)
    assert page.open == []
    forms = Seen(flat(text), flat(details), flat("".join(page.words)), latex, source)
    for form in forms[:3]:
        for sentence in report.findings:
            assert flat(sentence) in form
        assert not re.search(r"\b(nan|NaN|None(?! of))\b|\{[a-z_]{2,}\}", form), form
    for form in (*forms[:3], latex):
        assert not re.search(r"(?<![\d.,])0\.0+(?![\d])", form), "a number of zeros only"
        assert "-0 " not in form
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and " & " in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5}
    assert len(rows) == 1 + len(report.models)
    return forms


def two(*names: str, n: int = 600) -> CalibrationReport:
    y, z = logits(0, n, 3)
    models = {name: softmax((2.5, 1.0)[k] * z, axis=1) for k, name in enumerate(names)}
    return calibration_report(y, models, n_resamples=40)


# ------------------------------------------------------------------------------------------- names


def test_names_with_markup_are_words() -> None:
    nasty, other = "<script>alert('x')</script> & \"co\"", r"{0} \textbf{x} $y_1$ 50 % #~^|"
    forms = seen(two(nasty, other))
    for form in (forms.text, forms.details, forms.page):
        assert nasty in form
        assert other in form
    assert "<script" not in forms.source
    assert "&lt;script&gt;" in forms.source
    row = next(line for line in forms.latex.splitlines() if "textbf\\{x" in line)
    assert r"\{0\} \textbackslash{}textbf\{x\} \$y\_1\$ 50 \% \#" in row
    assert r"\textless{}script\textgreater{}" in forms.latex


def test_tables_for_papers_are_whole_with_any_name() -> None:
    names = [r"a_b & 50% #1 \x ~ ^", r"\end{tabular} \\ [1ex] {", "*starred*", "$x$ }%"]
    y, z = logits(0, 300, 3)
    models = {name: softmax((1 + k / 2) * z, axis=1) for k, name in enumerate(names)}
    report = calibration_report(y, models, n_resamples=40)
    for latex in (
        report.to_latex(),
        report.to_latex("usual"),
        report.to_latex(intervals=False),
    ):
        code = [line for line in latex.splitlines() if not line.startswith("%")]
        assert code[0] == r"\begin{tabular}{lrrrrr}"
        assert code[-1] == r"\end{tabular}"
        bare = [re.sub(r"\\[&%$#_{}]", "x", line) for line in code]  # without escaped signs
        depth = [line.count("{") - line.count("}") for line in bare]
        assert depth == [0] * len(bare)
        assert all(line.count("$") % 2 == 0 for line in bare)
        assert not re.search(r"[%#~]", "".join(bare))
        rows = bare[2:]
        assert [row.count("&") for row in rows if row.endswith(r" \\")] == [5] * 5
        commands = set(re.findall(r"\\([a-zA-Z]+|\\)", "\n".join(bare)))
        assert commands <= {
            "begin", "end", "toprule", "midrule", "bottomrule", "textbf", "underline", "dag",
            "scriptsize", "times", "textbackslash", "textasciitilde", "textasciicircum", "\\",
        }  # fmt: skip
        assert not any(row.startswith(("*", "[")) for row in rows)
        assert r"a\_b \& 50\% \#1 \textbackslash{}x \textasciitilde{} \textasciicircum{}" in latex


@pytest.mark.parametrize("name", ["n" * 60, "a model " * 7 + "ends"])
def test_names_of_sixty_signs_are_whole_where_there_is_room(name: str) -> None:
    report = two("raw", name)
    forms = seen(report)
    assert len(name) == 60
    for form in (forms.details, forms.page):
        assert name in form
    assert name in forms.latex
    for form in (str(report), report.details()):
        assert max(len(line) for line in form.splitlines()) <= 80


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("n_models", [2, 7])
def test_rows_of_long_names_are_told_apart(
    columns: int, n_models: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    y, z = logits(0, 1500, 3)
    names = [f"resnet_50_trained_on_everything_we_have_and_mixup_seed_{k}" for k in range(7)]
    models = {name: softmax((1 + 0.3 * k) * z, axis=1) for k, name in enumerate(names[:n_models])}
    report = calibration_report(y, models, n_resamples=40)
    seen(report)
    shown = str(report).splitlines()
    assert max(map(len, shown)) <= columns
    start = next(k for k, line in enumerate(shown) if "Log loss" in line)
    rows = [line[2:].split() for line in shown[start:] if re.match(r"[> ] re(?!port)", line)]
    rows = rows[:n_models]  # in front of further columns, which may stand below, once more
    assert len({row[0] for row in rows}) == n_models
    assert [row[1] for row in rows].count("(before)") == 1
    table = " ".join(" ".join(shown[start:]).split())
    if n_models > 4:
        assert not re.search(r"\w\.\.\.|\N{HORIZONTAL ELLIPSIS}", table)
        assert table.count("over") == n_models - 1
        assert ("over above 0." in table) == (columns == 80)
        assert ("overconfident above 0." in table) == (columns == 60)


def test_names_from_right_to_left_keep_to_themselves() -> None:
    name = "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} (1)"
    forms = seen(two("raw", name))
    for form in (forms.text, forms.details, forms.page, forms.latex):
        assert name in form
    table = forms.source[forms.source.index("<table") :]
    assert re.search(rf"<bdi[^>]*>{re.escape(name)}", table) or re.search(
        rf"dir=.auto.[^>]*>{re.escape(name)}", table
    )


def test_names_that_are_prefixes_or_numbers() -> None:
    forms = seen(two("1", "10"))
    assert "Use 10: " in forms.text
    assert "1 is clearly behind in log loss (" in forms.page


# ---------------------------------------------------------------------------------- many and single


def test_one_model_has_no_ranks() -> None:
    y, z = logits(0, 600, 3)
    forms = seen(calibration_report(y, softmax(2.5 * z, axis=1), n_resamples=40))
    for form in forms[:3]:
        assert not re.search(r"May be the best|[Cc]learly behind|not distinguishable", form)
        assert "Overconfident above " in form


def test_forty_models_are_ranked_and_summed_up() -> None:
    y, z = logits(0, 500, 3)
    models = {f"m{k:02d}": softmax((0.9 + 0.05 * k) * z, axis=1) for k in range(40)}
    report = calibration_report(y, models, n_resamples=40)
    forms = seen(report)
    assert len(report.findings) <= 5
    assert all(len(sentence) < 500 for sentence in report.findings)
    behind = [name for name in models if name not in report.may_be_best]
    assert behind
    assert f"The other {len(behind)} are clearly behind in log loss" in forms.text
    for form in (forms.details, forms.page, forms.latex):
        assert all(name in form for name in models)
    assert "others" in forms.text
    assert len(str(report).splitlines()) < 40 + 25
    assert len(forms.source.encode()) < 400_000


# ----------------------------------------------------------------------------------------- samples


def test_an_infinite_log_loss_is_said() -> None:
    report = impossible(alone=False)
    forms = seen(report)
    assert report.comparison.criterion == "brier"
    sentence = (
        "cut gave probability 0 to labels that occurred: the log loss is infinite, so the Brier "
        "score ranks the methods."
    )
    for form in forms[:3]:
        assert sentence in form
        assert "ranked by log loss" not in form
    for form in (forms.details, forms.page):
        count = report.models["cut"].n_impossible
        assert f"Samples whose label had probability 0: {count};" in form
    alone = seen(impossible(alone=True))
    assert "labels that occurred had probability 0: the log loss is infinite" in alone.text


@pytest.mark.parametrize("n_classes", [2, 5])
def test_constant_predictions_are_measured(n_classes: int) -> None:
    y = np.arange(400) % n_classes
    report = calibration_report(y, np.full((400, n_classes), 1 / n_classes), n_resamples=40)
    forms = seen(report)
    silent = ("nothing_seen", "nothing_seen_binary", "too_few_single")
    assert report.answer[0].case in silent
    assert f"{np.log(n_classes):.4f}" in forms.page
    assert not re.search(r"\d,\d{3},\d{3}", forms.page)
    wrong = np.tile([0.9, *[0.1 / (n_classes - 1)] * (n_classes - 1)], (400, 1))
    off = seen(calibration_report(y, wrong, n_resamples=40))
    assert "on the whole scale: " in off.text


def test_twenty_samples_are_too_few() -> None:
    y, z = logits(3, 20, 3)
    models = {name: softmax(slope * z, axis=1) for name, slope in (("a", 1.2), ("b", 1.0))}
    forms = seen(calibration_report(y, models, n_resamples=40))
    for form in forms[:3]:
        assert "Too few data to choose: 20 samples cannot tell the two methods apart" in form
    alone = seen(calibration_report(y, models["b"], n_resamples=40))
    assert "Too few data to judge: any miscalibration up to 0." in alone.text
    assert "nothing to correct" not in alone.text


@pytest.mark.slow
def test_a_thousand_classes_are_legible() -> None:
    y, z = logits(0, 1500, 1000, 2.5)
    report = calibration_report(
        y, {"raw": softmax(1.5 * z, axis=1), "net": softmax(z, axis=1)}, n_resamples=10
    )
    forms = seen(report)
    assert "1000 classes" in forms.details.replace(",", "")
    assert "the 25 of 1,000 that deviate most" in forms.page
    ace = report.models["net"].measures["adaptive_calibration_error"].value
    assert ace < 1e-3
    assert "x 1e-" in forms.page  # its digits are seen in units of a power of ten
    assert len(forms.source.encode()) < 200_000


def test_groups_are_named_as_what_is_drawn() -> None:
    y, z = logits(0, 200, 3)
    y, p = np.repeat(y, 5), np.repeat(softmax(z, axis=1), 5, axis=0)
    groups = np.repeat(np.arange(200), 5)
    report = calibration_report(y, {"a": p, "b": p**1.1 / (p**1.1).sum(axis=1, keepdims=True)},
                                groups=groups, n_resamples=40)  # fmt: skip
    forms = seen(report)
    assert "1,000 samples in 200 groups" in forms.page
    assert "over groups" in forms.details


def test_weights_leave_out_counts_of_events() -> None:
    y, z = events(0, 3000)
    w = np.random.default_rng(0).exponential(size=3000)
    report = calibration_report(y, expit(z), sample_weight=w, n_resamples=40)
    forms = seen(report)
    observed = 100 * np.average(y, weights=w)
    assert f"happened in {observed:.1f} %, predicted " in forms.text
    assert "events happened" not in forms.page


def test_rare_events_are_counted_per_100_000() -> None:
    y, z = events(5, 200_000, 1.0, -7.0)
    report = calibration_report(y, expit(z), n_resamples=40)
    forms = seen(report)
    assert report.headline == (
        f"No sign of miscalibration: {y.sum()} events happened where {expit(z).sum():.0f} were "
        "predicted."
    )
    for form in forms[:3]:
        assert "per 100,000" in form
        assert not re.search(r"\d\.\d+e\+\d", form)
    for form in forms[:3]:  # numbers beyond four decimals name their unit
        assert "Brier score, x 1e-3" in form
    high = report.models["model"].measures["expected_calibration_error"].high
    assert f"is at most {1e5 * high:.0f} per 100,000" in forms.text


def test_no_events_do_not_exclude_every_error() -> None:
    report = calibration_report([0] * 1000, np.full(1000, 1e-6), labels=[0, 1], n_resamples=40)
    forms = seen(report)
    assert report.headline == (
        "Too few data to judge: no event among 1,000 samples, where 0.001 were predicted; any rate "
        "up to 369 per 100,000 would fit."
    )
    assert "nothing to correct" not in forms.text
    for form in forms[:3]:
        assert "at most 0." not in form


@pytest.mark.parametrize("rate", [1e-5, 0.5])
def test_tiny_numbers_are_not_zeros_and_do_not_grow(rate: float) -> None:
    rng = np.random.default_rng(0)
    if rate < 0.1:
        p = rate * rng.uniform(0.5, 1.5, 100_000)
        y = np.zeros(len(p), int)
        y[:2] = 1
    else:
        p, y = rate + 1e-7 * rng.normal(size=1000), np.arange(1000) % 2
    for probabilities in (p, {"raw": np.minimum(1.1 * p, 1), "net": p}):
        forms = seen(calibration_report(y, probabilities, n_resamples=40))
        for form in forms[:3]:
            assert not re.search(r"\d,\d{3},\d{3}|(?<![\d.])-0(?![\d.])", form)


def test_scales_of_small_numbers_are_said_in_sentences() -> None:
    y, z = events(5, 200_000, 1.0, -7.0)
    report = calibration_report(y, {"raw": expit(z + 1), "net": expit(z)}, n_resamples=40)
    seen(report)
    (effect,) = (verdict for verdict in report.answer if verdict.case == "effect")
    for part, name, key in (
        ("before", "raw", "expected_calibration_error"),
        ("loss", "net", "log_loss"),
        ("loss_before", "raw", "log_loss"),
    ):
        number = report.models[name].measures[key].debiased
        assert float(effect.parameters[part]) == pytest.approx(number, rel=0.05)


@pytest.mark.parametrize("present", [(0, 1), (2,)])
def test_classes_without_samples_have_rows(present: tuple[int, ...]) -> None:
    y, z = logits(0, 600, 4)
    p = softmax(z, axis=1)
    kept = np.isin(y, present)
    report = calibration_report(y[kept], p[kept], n_resamples=40)
    forms = seen(report)
    assert "4 classes" in forms.page
    assert len(report.classes) == 4
    rows = re.findall(r"<tr>.*?</tr>", forms.source.replace("\n", ""), re.DOTALL)
    never = [unescape(re.sub("<[^>]*>", " ", row)).split() for row in rows]
    missing = str(next(k for k in range(4) if k not in present))
    assert any(row[:2] == [missing, "0"] for row in never)


@pytest.mark.parametrize(("n_resamples", "level", "needed"), [(18, 0.95, 19), (98, 0.99, 99)])
def test_too_few_draws_give_no_stars(n_resamples: int, level: float, needed: int) -> None:
    y, z = logits(0, 1500, 3)
    models = {"raw": softmax(2.5 * z, axis=1), "net": softmax(z, axis=1)}
    for probabilities in (models, models["raw"]):
        options = {"confidence_level": level, "random_state": 0}
        report = calibration_report(y, probabilities, n_resamples=n_resamples, **options)
        forms = seen(report)
        for form in forms[:3]:
            assert (
                f"{n_resamples} draws cannot show what is more than chance at {100 * level:g} %; "
                f"at least {needed} are needed (n_resamples)"
            ) in form
            assert not re.search(r"no miscalibration|\binf\b", form, re.IGNORECASE)
        assert "Too few draws to" in report.headline
        assert not re.search(r"\d( %)?\*", forms.text)
        assert not report.to_frame().beyond_chance.any()
        assert (report.to_frame().low[3:5] == 0).all()  # of errors
        assert "Not judged" in forms.details
        enough = calibration_report(y, probabilities, n_resamples=needed, **options)
        assert enough.to_frame().beyond_chance.any()
        assert "*" in str(enough)
        assert "Too few draws" not in seen(enough).page
