"""Write the generated lists: lazy exports of the packages, and the README's table of methods.

Run without arguments after adding a row to the registry; with ``--check`` nothing is written and
the exit code is 1 if a list is out of date.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import calib.warnings  # noqa: E402
import uq.warnings  # noqa: E402
from calib.registry import CALIBRATORS  # noqa: E402

LINE_LENGTH = 100
#: Public names beside the registered calibrators.
OTHERS = {
    "BaseCalibrator": "calib.base",
    "CALIBRATORS": "calib.registry",
    "CalibratedClassifier": "calib.classifier",
    "ExternalCalibrator": "calib.calibrators.external",
    "all_calibrators": "calib.registry",
    "VennAbersRegressor": "calib.calibrators.venn_abers.regressor",
    "load": "calib.persistence",
    "make_calibrator": "calib.registry",
    "save": "calib.persistence",
}
#: Public names of `calib.detection` by module.
DETECTION = {
    "adapters": ("read_detections", "read_ground_truth", "with_new_scores"),
    "arrays": ("Detections",),
    "calibrator": ("DetectionCalibrator",),
    "coco": ("from_coco", "read_coco_detections"),
    "coco_annotations": ("read_coco_annotations",),
    "coco_output": ("rescored_coco", "write_coco_detections"),
    "detector": ("CalibratedDetector", "ImageBoxes"),
    "ground_truth": ("GroundTruth",),
    "lrp": ("LRPCurve", "MatchedScores", "lrp_curve"),
    "map_table": ("DETECTION_MAPS",),
    "maps": (
        "DependentLogisticCalibrator",
        "GridHistogramCalibrator",
        "IdentityCalibrator",
        "LinearCalibrator",
    ),
    "matching": ("Matches", "match"),
    "score_map": ("ScoreMap",),
    "thresholds": ("apply_thresholds", "lrp_optimal_thresholds"),
}
#: Public names of `calib.evaluation` by module; no name equals its module's.
EVALUATION = {
    "cumulative": (
        "CumulativeTest",
        "SignedCumulativeError",
        "cumulative_calibration_error",
        "cumulative_calibration_test",
        "classwise_ks_calibration_error",
        "ks_calibration_error",
        "signed_cumulative_error",
    ),
    "cumulative_display": (
        "CumulativeCurve",
        "CumulativeDisplay",
        "cumulative_calibration_curve",
    ),
    "density": ("density_calibration_error", "dirichlet_calibration_error"),
    "kernel": (
        "KernelTest",
        "kernel_calibration_error",
        "kernel_calibration_test",
        "maximum_mean_calibration_error",
    ),
    "loess": ("CalibrationCurveSummary", "integrated_calibration_index"),
    "smooth": ("smooth_calibration_error",),
    "sweep": ("sweep_bin_count", "sweep_calibration_error"),
    "_accumulated": ("AccumulatedReport",),
    "accumulator": ("CalibrationAccumulator", "accumulated_report"),
    "binned": (
        "adaptive_calibration_error",
        "average_calibration_error",
        "classwise_calibration_error",
        "expected_calibration_error",
        "maximum_calibration_error",
    ),
    "coco_precision": ("AveragePrecision", "average_precision"),
    "corp": ("ScoreDecomposition", "score_decomposition"),
    "detection": ("detection_calibration_error", "detection_calibration_table"),
    "detection_display": ("DetectionHeatmapDisplay",),
    "detection_records": (
        "ClassTable",
        "DetectionMeasure",
        "DetectionMetricInterval",
        "DetectionModelReport",
        "PositionMap",
        "ReliabilityBins",
    ),
    "detection_reporting": ("detection_report",),
    "detection_results": ("DetectionReport",),
    "detection_sampling": (
        "detection_metric_difference",
        "detection_metric_interval",
    ),
    "detection_tables": ("DetectionTable",),
    "display": ("ReliabilityDisplay",),
    "improvement": ("PostHocImprovement", "post_hoc_improvement"),
    "intervals": (
        "IntervalQuality",
        "interval_coverage",
        "interval_quality",
        "interval_score",
        "mean_interval_width",
    ),
    "localization": (
        "localization_aware_absolute_error",
        "localization_aware_calibration_error",
        "localization_table",
    ),
    "measurements": ("Measurement", "MeasurementTable", "measurement_table"),
    "overlap_error": ("score_iou_squared_error",),
    "proper": ("BrierDecomposition", "brier_decomposition", "brier_score", "log_loss"),
    "quantiles": ("PitUniformity", "pit_uniformity", "quantile_crps", "quantile_pit"),
    "recall_precision": (
        "LocalizationRecallPrecision",
        "localization_recall_precision",
        "localization_recall_precision_of",
        "optimal_localization_recall_precision",
    ),
    "refinement": ("RefinementDecomposition", "refinement_decomposition"),
    "report": ("calibration_report",),
    "metric_intervals": ("metric_interval",),
    "resampling": ("Interval", "consistency_interval"),
    "results": ("CalibrationReport", "MeasureResult", "ModelReport"),
    "signed": ("SignedCalibrationError", "signed_calibration_error"),
    "significance": ("calibration_tests",),
    "significance_results": ("CalibrationTest", "CalibrationTests"),
    "squared": ("SquaredCalibrationError", "squared_calibration_error"),
    "tables": ("BinnedCalibrationTable", "binned_calibration_table"),
}
#: Public names of `uq` by module, without the package's name.
UQ = {
    "certainty": (
        "conformal_confidence",
        "conformal_credibility",
        "interval_lower_certainty",
        "interval_width_certainty",
        "is_conformal_singleton",
    ),
    "certainty_curves": ("certainty_curve",),
    "certainty_results": ("CertaintyCurve", "CertaintyPoints"),
    "concept_scores": (
        "concept_matching_score",
        "negative_label_score",
        "select_negatives",
    ),
    "conformal_boxes": ("ConformalBoxes",),
    "conformal_classifier": ("ConformalClassifier",),
    "conformal_quantiles": (
        "conformal_quantile",
        "effective_sample_size",
        "weighted_conformal_quantile",
    ),
    "conformal_regressor": ("ConformalRegressor",),
    "likelihood_ratio": ("LikelihoodRatio",),
    "logit_scores": ("energy_score", "max_logit_score", "ood_score"),
    "mapie_risk_control": ("RiskControlledClassifier",),
    "online": ("AdaptiveConformal",),
    "ood": ("KNearestDetector", "MahalanobisDetector"),
    "ood_evaluation": ("OODMeasures", "OODReport", "ood_report"),
    "p_values": (
        "ForcedPrediction",
        "conformal_p_values",
        "forced_prediction",
        "mondrian_p_values",
    ),
    "risk_control": (
        "SelectiveThreshold",
        "abstention_utility",
        "control_selective_risk",
    ),
    "risk_coverage": (
        "area_under_risk_coverage",
        "excess_area_under_risk_coverage",
        "risk_coverage_curve",
    ),
    "risk_coverage_results": ("RiskCoverageCurve", "SelectivePoint"),
    "scores": (
        "margin_score",
        "max_probability_score",
        "negative_entropy_score",
        "negative_mutual_information_score",
    ),
    "selective": ("SelectiveClassifier",),
    "_side_heads": ("SideMeans",),
    "split_point": ("SplitPointRegressor",),
    "study": ("leave_one_out_study",),
    "study_methods": ("StudyPredictions",),
    "study_metrics": ("StudyNumber", "StudyRow"),
    "study_estimators": ("load_study_stand_in", "study_models"),
    "study_results": ("StudyResult",),
    "study_scores": ("Protocol",),
}
#: Warnings of `calib` that these packages issue, hence export as well.
DETECTION_WARNINGS = dict.fromkeys(
    (
        "BoxFormatWarning",
        "CorrespondenceWarning",
        "FallbackWarning",
        "InvalidRowsWarning",
        "NoOptimalThresholdWarning",
        "UnknownImagesWarning",
    ),
    "calib.warnings",
)
EVALUATION_WARNINGS = dict.fromkeys(
    ("CorrespondenceWarning", "FitImagesWarning", "NothingToMeasureWarning"), "calib.warnings"
)
#: File, first line and last line of each generated block.
INIT = (ROOT / "calib" / "__init__.py", "# <generated>", "# </generated>")
UQ_INIT = (ROOT / "uq" / "__init__.py", "# <generated>", "# </generated>")
EVALUATION_INIT = (ROOT / "calib" / "evaluation" / "__init__.py", "# <generated>", "# </generated>")
DETECTION_INIT = (ROOT / "calib" / "detection" / "__init__.py", "# <generated>", "# </generated>")
README = (ROOT / "README.md", "<!-- calibrators:begin -->", "<!-- calibrators:end -->")


def module_of() -> dict[str, str]:
    """Return the module of every public name of `calib`."""
    names = OTHERS | warnings_of(calib.warnings)
    for row in CALIBRATORS.values():
        names[row.class_name] = row.target.partition(":")[0]
    return dict(sorted(names.items()))


def warnings_of(module: ModuleType) -> dict[str, str]:
    """Return the module of every warning class that it defines."""
    return {
        name: module.__name__
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


def constants_first(name: str) -> tuple[int, str]:
    """Sort as ruff does: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def listed(
    package: str, modules: dict[str, tuple[str, ...]], others: dict[str, str]
) -> dict[str, str]:
    """Return the module of every public name of a package, `others` from elsewhere included."""
    names = {name: f"{package}.{module}" for module, found in modules.items() for name in found}
    return dict(sorted((names | others).items()))


def exports(names: dict[str, str]) -> str:
    """Return the imports for type checkers, the table for lazy imports, and ``__all__``."""
    lines = ["if TYPE_CHECKING:"]
    for module in sorted(set(names.values())):
        found = [name for name in names if names[name] == module]
        found.sort(key=lambda name: (*constants_first(name)[:1], name.casefold()))
        lines += import_lines(module, found)
    lines += ["", "_MODULE_OF = {"]
    lines += [f'    "{name}": "{module}",' for name, module in names.items()]
    lines += ["}", "", "__all__ = ["]
    lines += [f'    "{name}",' for name in sorted(names, key=constants_first)]
    return "\n".join([*lines, "]"])


def import_lines(module: str, names: list[str]) -> list[str]:
    """Return one import statement, broken where it does not fit."""
    line = f"    from {module} import {', '.join(names)}"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"    from {module} import (", *(f"        {name}," for name in names), "    )"]


def table() -> str:
    """Return the README's table of calibrators."""
    lines = ["| name | class | what it does | reference |", "|---|---|---|---|"]
    for name, row in CALIBRATORS.items():
        lines.append(f'| `"{name}"` | `{row.class_name}` | {row.summary} | {row.reference} |')
    return "\n".join(lines)


def renewed(path: Path, begin: str, end: str, body: str) -> str:
    """Return the text of a file with the lines between two marker lines replaced."""
    lines = path.read_text(encoding="utf-8").split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith(begin)]
    ends = [number for number, line in enumerate(lines) if line.startswith(end)]
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise SystemExit(f"{path.name}: needs one line {begin!r} and, after it, one {end!r}")
    return "\n".join([*lines[: starts[0] + 1], body, *lines[ends[0] :]])


def main(arguments: list[str] | None = None) -> int:
    """Write or check all blocks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    options = parser.parse_args(arguments)
    stale = 0
    blocks = (
        (INIT, exports(module_of())),
        (UQ_INIT, exports(listed("uq", UQ, warnings_of(uq.warnings)))),
        (EVALUATION_INIT, exports(listed("calib.evaluation", EVALUATION, EVALUATION_WARNINGS))),
        (DETECTION_INIT, exports(listed("calib.detection", DETECTION, DETECTION_WARNINGS))),
        (README, table()),
    )
    for (path, begin, end), body in blocks:
        old, new = path.read_text(encoding="utf-8"), renewed(path, begin, end, body)
        if old == new:
            continue
        stale = 1
        if options.check:
            name = path.relative_to(ROOT).as_posix()
            sys.stdout.writelines(
                difflib.unified_diff(
                    old.splitlines(keepends=True),
                    new.splitlines(keepends=True),
                    name,
                    f"{name} (generated)",
                )
            )
        else:
            path.write_text(new, encoding="utf-8")
    return stale if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
