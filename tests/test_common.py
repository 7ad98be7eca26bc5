"""scikit-learn's common checks over every registered calibrator and each meta-estimator."""

from __future__ import annotations

import warnings

from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from calib import CALIBRATORS, CalibratedClassifier, CalibrationWarning, make_calibrator

#: The complete list. The first four fit random data with 3 labels and 2 columns of scores, which a
#: calibrator must refuse, because it cannot know which class has no column; the last asks for the
#: accuracy of a classifier that learns from features, where a calibrator is given scores.
REASON = "3 labels and 2 columns: a calibrator refuses more labels than score columns"
EXPECTED = dict.fromkeys(
    (
        "check_estimators_overwrite_params",
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
    ),
    REASON,
) | {
    "check_classifiers_classes": REASON,
    "check_classifiers_train": "features are no scores: the accuracy is that of the scores",
}

#: The same of those that learn on.
EXPECTED_ONLINE = {"check_estimators_partial_fit_n_features": REASON}

CALIBRATOR_INSTANCES = [make_calibrator(name, input="logits") for name in CALIBRATORS]
WRAPPERS = [
    CalibratedClassifier(LogisticRegression()),
    CalibratedClassifier(LogisticRegression(), "temperature"),
    CalibratedClassifier(DecisionTreeClassifier(random_state=0), "isotonic", cv=3, ensemble=True),
]


def _run(estimator: object, check: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        check(estimator)  # type: ignore[operator]


@parametrize_with_checks(
    CALIBRATOR_INSTANCES,
    expected_failed_checks=lambda one: (
        EXPECTED | (EXPECTED_ONLINE if hasattr(one, "partial_fit") else {})
    ),
)
def test_calibrators(estimator: object, check: object) -> None:
    _run(estimator, check)


@parametrize_with_checks(WRAPPERS)
def test_wrappers(estimator: object, check: object) -> None:
    _run(estimator, check)
