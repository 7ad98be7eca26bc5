"""Post-hoc calibration of an object detector: its scores become expected overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import (
    check_integer,
    check_iou,
    check_number,
    check_option,
    describe,
    is_integer,
)
from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib._border.words import did_you_mean
from calib._core.estimators.fit_record import FitRecord, ends_of
from calib._documents.learnt import MOST_CURVES, Learnt, ShowsWhatItLearnt
from calib.base import CURVE_POINTS, BaseCalibrator
from calib.detection.correspondence import check_correspondence
from calib.detection.lrp import (
    BoolArray,
    Fallback,
    apply_thresholds,
    find_thresholds,
    reaches_thresholds_of_others,
)
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import Fingerprints, GroundTruth, fingerprints
from calib.grouped.map_table import MapForm, make_map
from calib.grouped.pooling import ClassMaps, PerClass, SingleTarget, fit_maps
from calib.grouped.score_map import ScoreMap
from calib.warnings import FallbackWarning, NoOptimalThresholdWarning

#: Columns of `Detections.position`.
POSITIONS = ("cx", "cy", "w", "h")
#: Overlap from which a detection is a true positive, by target.
DEFAULT_IOU = {"iou": 0.0, "tp": 0.5}


class DetectionCalibrator(ShowsWhatItLearnt, BaseEstimator):  # type: ignore[misc]
    """Calibrate the scores of an object detector on held-out images.

    Chooses the operating point of every class, matches what is kept with the annotated boxes, and
    fits a map of the scores, by default shared between classes as far as their numbers demand. A
    calibrated score is the expected overlap of the box with a true one, false positives counting
    zero (``target="iou"``), or the probability of being a true positive (``target="tp"``).

    Parameters
    ----------
    calibrator : str or BaseCalibrator, default="platt"
        Any name of the registry (``"temperature"``, ``"platt"``, ``"isotonic"``,
        ``"venn_abers"``, ...), which stands for what `make_calibrator` builds, ``"linear"``,
        ``"grid_histogram"`` (over score and position), ``"dependent_logistic"`` or ``"identity"``
        (thresholds alone), or an instance.
    form : {"default", "published"}, default="default"
        With ``"published"`` the names ``"platt"`` and ``"temperature"`` stand for maps of the
        log-odds as they are (``smooth_input=False``) and ``"isotonic"`` for plain least squares
        (``smoothing=False``), as in published rows; all other names have one form. An instance
        has its own options.
    target : {"iou", "tp"}, default="iou"
        What a score shall predict.
    per_class : {"shrink", True, False}, default="shrink"
        ``"shrink"``: a map per class, drawn towards the pooled one. ``True``: a map per class.
        ``False``: one for all classes. A class of fewer than `min_class_samples` detections, or
        (see `single_target`) whose targets are all equal, takes the pooled map in any case.
    prior_weight : float or "auto", default="auto"
        How strongly ``per_class="shrink"`` draws, >= 0. For temperature, Platt, linear and
        dependent logistic maps the inverse variance of a Gaussian prior of every coefficient,
        centred on the pooled map; auto is 20. For all others the number of detections at which
        the class's map and the pooled map are averaged; auto is 200.
    features : sequence of str or int, default=()
        What the map reads beside the score: ``"cx"``, ``"cy"``, ``"w"``, ``"h"`` relative to the
        image, or columns of ``Detections.features`` by number. Only for maps that read features.
    threshold : "lrp", float, mapping from int to float, or None, default="lrp"
        Operating point. ``"lrp"``: per class the minimum of the LRP error, found on raw scores,
        and again on calibrated ones. A number, or one per class (those not listed keep
        everything): the same before and after calibration. None: every detection is kept and
        fitted; the background then dominates the fit.
    threshold_folds : int or None, default=10
        Where ``threshold="lrp"``: the maps are fitted to the detections that reach thresholds found
        on the other images, in this many folds of images, >= 2. None fits them to those that reach
        the thresholds of these very images, as published.
    iou_threshold : float, default=None
        Overlap from which a detection is a true positive, in [0, 1); None means 0 for the target
        ``"iou"`` and 0.5 for ``"tp"``.
    fallback : {"pooled", "keep"}, default="pooled"
        Threshold of classes without a true positive, which have no optimum, where
        ``threshold="lrp"``: the optimum of all classes as one, or 0, which keeps every detection
        as published code does.
    min_class_samples : int, default=20
        Fewest detections with which a class gets a map of its own, >= 1.
    single_target : {"pooled", "own"}, default="pooled"
        Map of a class whose targets are all equal, for instance because nothing was found: the
        pooled one, or one of its own, which is all but constant.
    classes_without_gt : {"skip", "fp"}, default="skip"
        What the detections of a class without any annotated box are in the pooled fit: left out,
        or false positives.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; see `match`.
    matching : {"coco", "any", "hungarian"}, default="coco"
        See `match`.
    max_detections : int or None, default=None
        Detections per image and class that take part in the fit, >= 1; the rest is calibrated all
        the same. None takes all; 100 is the limit of protocols published with COCO's evaluation,
        under which a map knows nothing of what crowds of boxes look like.

    Attributes
    ----------
    classes_ : ndarray of int of shape (n_classes,)
        Classes seen at fit, ascending.
    raw_thresholds_, calibrated_thresholds_ : dict of int to float
        Operating point of every class in raw and in calibrated units; keep ``score >= threshold``.
    pooled_thresholds_ : tuple of (float, float)
        The same for classes that were not seen at fit.
    pooled_map_ : BaseCalibrator
        Map of all classes taken as one.
    class_maps_ : dict of int to BaseCalibrator
        Maps of single classes.
    shares_ : dict of int to float
        Weight of each of them in its mixture with the pooled map, in (0, 1].
    class_counts_ : dict of int to int
        Detections of every class that entered the fit.
    fallbacks_ : dict of int to str
        Classes that take the pooled map although `per_class` asks for their own, and why.
    threshold_fallbacks_ : tuple of (int, ...)
        Classes without a true positive, whose threshold is the one of `fallback`.
    fit_images_ : ndarray of uint64 of shape (n_annotated_images,), or None
        Hashes of the ids and boxes of the images of the fit, by which `detection_report` knows them
        again; None in files of versions that kept none.
    score_map_ : ScoreMap
        The maps compiled for inference.

    Raises
    ------
    ValueError
        At fit, for an unknown option or a number out of its range, if detections lie in images that
        the ground truth does not list, or if hardly any of 10 or more overlaps an annotated box, or
        one of its class. The text names the likely cause: units, box format, ids.

    Warns
    -----
    FallbackWarning
        If no map could be fitted (scores then stay as they are), if ``per_class=True`` but classes
        take the pooled map, and once if a class was never seen at fit.
    CorrespondenceWarning
        If the surest detections overlap few annotated boxes, or boxes of other classes, and a cheap
        correction (of units, box format, image or class ids) would mend it; or if there are too few
        to refuse them.
    NoOptimalThresholdWarning
        If ``threshold="lrp"`` and classes have no true positive; see `fallback`.

    See Also
    --------
    CalibratedDetector : wraps a running model.

    Notes
    -----
    Steps: thresholds on raw scores; matching; maps fitted to the targets of the detections that
    reach thresholds found on other folds of images (ignored ones aside); thresholds on calibrated
    scores. Fit on images that the detector was not trained on, and evaluate on others.

    Why ``threshold_folds``: a threshold lies where its own images flatter what survives. Maps of
    the same survivors exceed overlaps on other images by 0.029, with folds by 0.004 (published
    Platt, YOLOX-Nano, COCO minival to minitest; squared error 0.0797 and 0.0777). 2 to 20 folds, a
    fixed permutation of the sorted image ids, serve alike; operating points stay those of all
    images. Few classes of many boxes have little to gain; isotonic maps lose 0.5 % there.

    The published protocol, with which published rows are reproduced: ``form="published"``,
    ``zero_iou="reference"``, ``threshold_folds=None``, ``fallback="keep"``, ``max_detections=100``,
    ``per_class`` True or False, and for maps per class ``min_class_samples=1`` and
    ``single_target="own"``; then `detection_report` with ``reference_compat=True``.

    Targets are fractions. Calibrators that accept none see each detection as a positive of weight
    t and a negative of weight 1 - t, which leaves log loss and least squares unchanged. Scores are
    cut at 1e-7 from 0 and 1 where log-odds are taken. A map that would fall with the score
    (affine ones alone can) is replaced by a constant. Every map is monotone in the score for each
    class if the calibrator is, except ``"grid_histogram"`` and ``"dependent_logistic"``.

    Why ``"shrink"``: squared errors of the published forms there: uncalibrated 0.0828, Platt per
    class 0.0823, pooled 0.0775, shrunk 0.0777; isotonic 0.0862, 0.0779, 0.0783. LaECE above its
    floor, mean of 20 random halves: pooled 1.8 points for both, shrunk 1.6 and 1.2.

    References
    ----------
    S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania, "On Calibration of Object Detectors: Pitfalls,
    Evaluation and Baselines", ECCV 2024, arXiv 2405.20459.
    F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff, "Multivariate Confidence Calibration for
    Object Detection", CVPR Workshops 2020, arXiv 2004.13546.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.detection import DetectionCalibrator
    >>> rng = np.random.default_rng(0)
    >>> corner = rng.uniform(0, 90, size=(400, 2))
    >>> truth = GroundTruth(np.hstack([corner, corner + 10]), np.ones(400, int), np.arange(400))
    >>> hit = rng.random(400) < 0.7  # the others lie elsewhere
    >>> shifted = corner + np.where(hit[:, None], 1.0, 50.0)
    >>> scores = np.where(hit, rng.beta(8, 2, 400), rng.beta(5, 3, 400))
    >>> found = Detections(np.hstack([shifted, shifted + 10]), scores, np.ones(400, int),
    ...                    np.arange(400))
    >>> cal = DetectionCalibrator(form="published", threshold=None).fit(found, truth)
    >>> cal.transform(found[:4]).scores.round(2), found[:4].scores.round(2)
    (array([0.31, 0.61, 0.45, 0.58]), array([0.6 , 0.9 , 0.78, 0.88]))
    """

    classes_: IntArray
    raw_thresholds_: dict[int, float]
    calibrated_thresholds_: dict[int, float]
    pooled_thresholds_: tuple[float, float]
    pooled_map_: BaseCalibrator
    class_maps_: dict[int, BaseCalibrator]
    shares_: dict[int, float]
    class_counts_: dict[int, int]
    fallbacks_: dict[int, str]
    threshold_fallbacks_: tuple[int, ...]
    fit_images_: Fingerprints | None
    score_map_: ScoreMap
    _told: set[int]

    def __init__(
        self,
        calibrator: str | BaseCalibrator = "platt",
        *,
        form: MapForm = "default",
        target: Literal["iou", "tp"] = "iou",
        per_class: PerClass = "shrink",
        prior_weight: float | Literal["auto"] = "auto",
        features: Sequence[str | int] = (),
        threshold: float | Mapping[int, float] | Literal["lrp"] | None = "lrp",
        threshold_folds: int | None = 10,
        iou_threshold: float | None = None,
        fallback: Fallback = "pooled",
        min_class_samples: int = 20,
        single_target: SingleTarget = "pooled",
        classes_without_gt: Literal["skip", "fp"] = "skip",
        zero_iou: Literal["strict", "reference"] = "strict",
        matching: Literal["coco", "any", "hungarian"] = "coco",
        max_detections: int | None = None,
    ) -> None:
        self.calibrator = calibrator
        self.form = form
        self.target = target
        self.per_class = per_class
        self.prior_weight = prior_weight
        self.features = features
        self.threshold = threshold
        self.threshold_folds = threshold_folds
        self.iou_threshold = iou_threshold
        self.fallback = fallback
        self.min_class_samples = min_class_samples
        self.single_target = single_target
        self.classes_without_gt = classes_without_gt
        self.zero_iou = zero_iou
        self.matching = matching
        self.max_detections = max_detections

    # ------------------------------------------------------------------ public methods

    def fit(self, detections: Detections, ground_truth: GroundTruth) -> Self:
        """Find thresholds and fit the maps.

        Parameters
        ----------
        detections : Detections
            All detections on held-out images, low scores included.
        ground_truth : GroundTruth
            Annotated boxes of the same images.

        Returns
        -------
        self : DetectionCalibrator
        """
        check_tables(detections, ground_truth)
        check_detection_options(self.get_params(deep=False))
        template = make_map(self.calibrator, len(self.features), self.form)
        classes = np.unique(np.concatenate([detections.labels, ground_truth.labels]))
        annotated = np.unique(ground_truth.labels[~ground_truth.ignore])
        # Matches, and whether they are plausible.
        matches = self._match(detections, ground_truth)
        check_correspondence(detections, ground_truth, matches)
        # Thresholds on raw scores, and the detections that enter the fit.
        rule = self.threshold, self._iou_threshold(), classes, self.fallback
        raw, raw_pooled, missing = find_thresholds(*rule, detections, ground_truth, matches)
        keep = apply_thresholds(detections, raw, default=raw_pooled)
        fitted = keep
        if self.threshold == "lrp" and self.threshold_folds is not None:
            fitted = reaches_thresholds_of_others(
                detections,
                ground_truth,
                matches,
                self._iou_threshold(),
                self.threshold_folds,
                self.fallback,
            )
        # Their targets.
        used, matches = detections[fitted], matches[fitted]
        if self.matching == "hungarian":  # greedy matches do not depend on lower scores
            matches = self._match(used, ground_truth)
        rows = matches.valid
        if self.classes_without_gt == "skip":
            rows = rows & np.isin(used.labels, annotated)
        labels = used.labels[rows]
        # Maps.
        maps = fit_maps(
            template,
            map_inputs(used, self.features)[rows],
            self._target(matches)[rows],
            labels,
            per_class=self.per_class,
            prior_weight=None if self.prior_weight == "auto" else float(self.prior_weight),
            min_class_samples=self.min_class_samples,
            single_target=self.single_target,
        )
        if self.per_class is not False and self.calibrator != "identity":
            for label in np.setdiff1d(classes, labels).tolist():
                reason = "no detection" if label in annotated else "no annotated box"
                maps.fallbacks[label] = reason
        self.set_maps(maps, classes)
        # Thresholds on calibrated scores.
        mapped = self.transform(detections[keep])
        self.raw_thresholds_, self.threshold_fallbacks_ = raw, missing
        self.calibrated_thresholds_, pooled, _ = find_thresholds(
            *rule, mapped, ground_truth, self._match(mapped, ground_truth)
        )
        self.pooled_thresholds_ = (raw_pooled, pooled)
        # Provenance.
        counts = np.bincount(np.searchsorted(classes, labels), minlength=len(classes))
        self.class_counts_ = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        self.fit_images_ = fingerprints(ground_truth)
        ends = ends_of(used.scores[rows][:, None], "proba")
        self.remember(FitRecord.of("proba", len(classes), len(labels), ends))
        warn_of_fallbacks(self)
        return self

    @property
    def fit_record_(self) -> FitRecord | None:
        """What was fitted on; None before a fit, and where an old file had none.

        Rows are the detections that the maps were fitted on, the range is that of their scores.
        """
        values = self.__dict__.get("_record")
        return None if values is None else FitRecord(**values)

    def remember(self, record: FitRecord) -> None:
        """Keep what the fit was made of, for files and texts."""
        self._record = record.to_dict()

    def what_was_learnt(self) -> Learnt | None:
        """Return what a notebook shows below the parameters: thresholds, maps and their curves.

        Returns
        -------
        learnt : Learnt or None
            None before a fit.
        """
        if not hasattr(self, "score_map_"):
            return None
        n_own, n_classes = len(self.class_maps_), len(self.classes_)
        before, after = self.pooled_thresholds_
        rows = [
            ("maps", f"{n_own} of {n_classes} classes have their own, the rest the pooled map"),
            ("pooled threshold", f"{before:.3g} before, {after:.3g} after"),
        ]
        record = self.fit_record_
        if record is not None:
            rows += [("fitted on", f"{record.n_rows:,} detections"), ("day", record.date)]
        if len(self.features):
            return Learnt(rows)
        grid = np.linspace(0.0, 1.0, CURVE_POINTS)
        most = sorted(self.class_counts_, key=self.class_counts_.__getitem__)[::-1]
        curves = {
            f"class {label}": (grid, self.score_map_(grid, np.full(CURVE_POINTS, label)))
            for label in most[:MOST_CURVES]
        }
        return Learnt(rows, curves, "score before and after, most frequent classes")

    def transform(self, detections: Detections) -> Detections:
        """Return the same detections with calibrated scores.

        Parameters
        ----------
        detections : Detections
            Raw detections; those below the thresholds are calibrated as well.

        Returns
        -------
        calibrated : Detections
            Same rows in the same order; all but the scores is shared. Classes that were not seen
            at fit take the pooled map.

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `features` need image sizes or columns that the detections lack.
        """
        check_is_fitted(self, "score_map_")
        check_tables(detections)
        warn_of_unseen(detections.labels, self.classes_, self._told)
        inputs = map_inputs(detections, self.features)
        features = inputs[:, 1:] if inputs.shape[1] > 1 else None
        scores = self.score_map_(detections.scores, detections.labels, features)
        return detections.with_scores(np.clip(scores, 0.0, 1.0))

    def operating_mask(
        self, detections: Detections, calibrated: Detections | None = None
    ) -> BoolArray:
        """Return which raw detections survive both thresholds.

        Parameters
        ----------
        detections : Detections
            Raw detections.
        calibrated : Detections, default=None
            ``transform(detections)``, if it is at hand.

        Returns
        -------
        keep : ndarray of bool of shape (n_detections,)
            Where the raw score reaches the raw threshold of its class and the calibrated score
            the calibrated one.
        """
        check_is_fitted(self, "score_map_")
        if calibrated is None:
            calibrated = self.transform(detections)
        check_same_detections(detections, calibrated)
        raw, after = self.pooled_thresholds_
        first = apply_thresholds(detections, self.raw_thresholds_, default=raw)
        second = apply_thresholds(calibrated, self.calibrated_thresholds_, default=after)
        return first & second

    def score(self, detections: Detections, ground_truth: GroundTruth) -> float:
        """Return minus the mean squared error of calibrated scores against targets.

        Parameters
        ----------
        detections : Detections
            Raw detections on images that were not used to fit.
        ground_truth : GroundTruth
            Annotated boxes of the same images.

        Returns
        -------
        score : float
            In [-1, 0], 0 is perfect; over the detections that reach the raw thresholds and are
            not ignored. NaN if there are none.
        """
        check_is_fitted(self, "score_map_")
        check_tables(detections, ground_truth)
        raw = self.pooled_thresholds_[0]
        kept = detections[apply_thresholds(detections, self.raw_thresholds_, default=raw)]
        matches = self._match(kept, ground_truth)
        error = (self.transform(kept).scores - self._target(matches))[matches.valid]
        return -float(np.mean(error * error)) if len(error) else float("nan")

    # ------------------------------------------------------------------ shared by the above

    def _iou_threshold(self) -> float:
        given = self.iou_threshold
        return DEFAULT_IOU[self.target] if given is None else float(given)

    def _match(self, detections: Detections, ground_truth: GroundTruth) -> Matches:
        return match(
            detections,
            ground_truth,
            iou_threshold=self._iou_threshold(),
            mode=self.matching,
            zero_iou=self.zero_iou,
            max_detections=self.max_detections,
        )

    def _target(self, matches: Matches) -> Float64Array:
        if self.target == "iou":
            return matches.iou
        return matches.is_true_positive.astype(np.float64)

    def set_maps(self, maps: ClassMaps, classes: IntArray) -> None:
        """Set everything that `transform` needs.

        Parameters
        ----------
        maps : ClassMaps
            Fitted maps.
        classes : ndarray of int
            Classes seen at fit, ascending.
        """
        self.classes_ = classes
        self.pooled_map_, self.class_maps_ = maps.pooled, maps.own
        self.shares_, self.fallbacks_ = maps.share, maps.fallbacks
        self.score_map_ = ScoreMap.compile(maps, classes)
        self._told = set()


# ------------------------------------------------------------------------------------ what is read


def check_tables(detections: object, ground_truth: object = None) -> None:
    """Raise unless the arguments are tables of boxes."""
    if not isinstance(detections, Detections):
        raise ValueError(
            f"detections must be a Detections table; got {type(detections).__name__}; build one "
            f"with Detections(boxes, scores, labels, image_id), or read a file with from_coco"
        )
    if ground_truth is not None and not isinstance(ground_truth, GroundTruth):
        raise ValueError(
            f"ground_truth must be a GroundTruth table; got {type(ground_truth).__name__}; note "
            f"the order of the arguments: detections, ground_truth"
        )


def check_same_detections(detections: Detections, calibrated: Detections) -> None:
    """Raise unless calibrated detections may be those of the raw ones."""
    if len(calibrated) != len(detections):
        raise ValueError(
            f"calibrated has {len(calibrated)} rows but detections has {len(detections)}; pass "
            f"the result of transform on the same detections"
        )


def check_detection_options(options: Mapping[str, Any]) -> None:
    """Raise unless the constructor arguments of a `DetectionCalibrator` make sense."""
    check_option("target", options["target"], ("iou", "tp"))
    check_option("form", options["form"], ("default", "published"))
    check_option("per_class", options["per_class"], ("shrink", True, False))
    check_option("matching", options["matching"], ("coco", "any", "hungarian"))
    check_option("zero_iou", options["zero_iou"], ("strict", "reference"))
    check_option("fallback", options["fallback"], ("pooled", "keep"))
    check_option("single_target", options["single_target"], ("pooled", "own"))
    check_option("classes_without_gt", options["classes_without_gt"], ("skip", "fp"))
    check_integer("min_class_samples", options["min_class_samples"], low=1)
    if options["max_detections"] is not None:
        check_integer("max_detections", options["max_detections"], low=1)
    if options["threshold_folds"] is not None:
        check_integer("threshold_folds", options["threshold_folds"], low=2)
    weight = options["prior_weight"]
    if weight != "auto" and not 0 <= check_number("prior_weight", weight) < np.inf:
        raise ValueError(f"prior_weight must be 'auto' or a finite number >= 0; got {weight!r}")
    if options["iou_threshold"] is not None:
        check_iou("iou_threshold", options["iou_threshold"], one=False)
    threshold = options["threshold"]
    if isinstance(threshold, str) and threshold != "lrp":
        raise ValueError(
            f"threshold must be 'lrp', a number, a mapping from class to number, or None; got "
            f"{threshold!r}"
        )
    if isinstance(threshold, Mapping):
        for label, value in threshold.items():
            check_number(f"threshold[{label}]", value)
    elif threshold is not None and threshold != "lrp":
        check_number("threshold", threshold)
    features = options["features"]
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise ValueError(
            f"features must be a sequence, for instance {POSITIONS}; got {describe(features)}"
        )
    for one in features:
        column = is_integer(one) and one >= 0
        if not column and one not in POSITIONS:
            raise ValueError(
                f"features must be names among {POSITIONS} or column numbers >= 0 of "
                f"Detections.features; got {describe(one)}{did_you_mean(one, POSITIONS)}"
            )


def map_inputs(detections: Detections, features: Sequence[str | int]) -> Float64Array:
    """Return the score and the features asked for, shape (n_detections, 1 + n_features)."""
    columns = [detections.scores]
    position = None
    for one in features:
        if isinstance(one, str):
            position = detections.position() if position is None else position
            columns.append(position[:, POSITIONS.index(one)])
            continue
        table = detections.features
        if table is None or one >= table.shape[1]:
            have = "none" if table is None else str(table.shape[1])
            raise ValueError(
                f"features asks for column {one} of Detections.features; it has {have}"
            )
        columns.append(table[:, one])
    return np.stack(columns, axis=1)


def warn_of_unseen(labels: IntArray, classes: IntArray, told: set[int]) -> None:
    """Say once which classes were not seen at fit."""
    unknown = np.setdiff1d(labels, classes)
    if told.issuperset(unknown.tolist()):
        return
    told.update(unknown.tolist())
    warn(
        f"{len(unknown)} classes were not seen at fit ({describe(unknown[:8].tolist())}); "
        f"they take the pooled map",
        FallbackWarning,
    )


def warn_of_fallbacks(calibrator: Any) -> None:
    """Say in one sentence each which classes of a fitted calibrator share maps and thresholds."""
    n_classes, maps = len(calibrator.classes_), calibrator.fallbacks_
    if calibrator.per_class is True and maps:
        label, reason = next(iter(maps.items()))
        warn(
            f"{len(maps)} of {n_classes} classes take the pooled map instead of their own, for "
            f"instance class {label} ({reason}); see fallbacks_",
            FallbackWarning,
        )
    missing = calibrator.threshold_fallbacks_
    taken = "all their detections are kept"
    if calibrator.fallback == "pooled":
        pooled = calibrator.pooled_thresholds_[0]
        taken = f"they take {pooled:.4g}, the optimum of all classes as one"
    if missing:
        warn(
            f"{len(missing)} of {n_classes} classes have no true positive and hence no LRP-optimal "
            f"threshold ({describe(list(missing[:8]))}); {taken}",
            NoOptimalThresholdWarning,
        )
