"""The table of calibrators. Tests, benchmarks, docs, files and the command line enumerate it."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calib._border.optional import is_installed
from calib._border.words import nearest

if TYPE_CHECKING:
    from calib.base import BaseCalibrator


@dataclass(frozen=True)
class Entry:
    """One row: where a calibrator lives and what it needs.

    Attributes
    ----------
    target : str
        ``"module:ClassName"``; a string, so that listing imports nothing.
    summary : str
        What the method does, in a few words, for tables.
    needs : tuple of str
        Optional packages without which the class cannot be used.
    reference : str
        Published source.
    saves : bool
        Whether `calib.save` writes it as JSON.
    torch : bool
        Whether `calib.export.to_torch` makes a module of it.
    onnx : bool
        Whether `calib.export.to_onnx` writes it as an ONNX model.
    torch_targets : tuple of str
        What takes the module: ``"jit"`` (``torch.jit.trace``, and ``torch.jit.script`` of what that
        returns, but not of the module), ``"export"`` (``torch.export``), ``"compile"``
        (``torch.compile``, as one graph).
    collections : bool
        Whether `calib.distributed.fit` fits it where the rows are.
    """

    target: str
    summary: str
    reference: str
    needs: tuple[str, ...] = ()
    saves: bool = True
    torch: bool = True
    onnx: bool = True
    torch_targets: tuple[str, ...] = ("jit", "export", "compile")
    collections: bool = False

    @property
    def class_name(self) -> str:
        """Name of the class."""
        return self.target.partition(":")[2]

    @property
    def available(self) -> bool:
        """Whether all packages it needs are installed."""
        return all(is_installed(package) for package in self.needs)

    def load(self) -> type[BaseCalibrator]:
        """Import the module and return the class."""
        module, _, name = self.target.partition(":")
        loaded: type[BaseCalibrator] = getattr(importlib.import_module(module), name)
        return loaded


#: Every calibrator by its name, with what it is and where it goes.
CALIBRATORS: dict[str, Entry] = {
    "auto": Entry(
        "calib.calibrators.auto.calibrator:AutoCalibrator",
        "cross-fitted pool of the best maps and the identity; leaves good scores alone",
        "van der Laan et al. 2007, doi 10.2202/1544-6115.1309; Berta et al. 2026",
        collections=True,
    ),
    "temperature": Entry(
        "calib.calibrators.temperature:TemperatureCalibrator",
        "one scalar for all logits; keeps every ranking within a row",
        "Guo et al. 2017, arXiv 1706.04599",
        collections=True,
    ),
    "platt": Entry(
        "calib.calibrators.platt:PlattCalibrator",
        "affine map of the log-odds; one-vs-rest beyond two classes",
        "Platt 1999; Lin et al. 2007, doi 10.1007/s10994-007-5018-6",
        collections=True,
    ),
    "online_platt": Entry(
        "calib.calibrators.online:OnlinePlattCalibrator",
        "Platt scaling that goes on learning from labels, and never does much worse than at rest",
        "Gupta and Ramdas 2023, arXiv 2305.00070; Herbster and Warmuth 1998",
        collections=True,
    ),
    "quadratic": Entry(
        "calib.calibrators.quadratic:QuadraticCalibrator",
        "parabola on the log-odds, cut at its vertex; one-vs-rest beyond two classes",
        "Berta et al. 2026, arXiv 2605.30188",
        collections=True,
    ),
    "beta": Entry(
        "calib.calibrators.beta:BetaCalibrator",
        "logistic map of log p and log(1 - p); one-vs-rest beyond two classes",
        "Kull et al. 2017, PMLR 54:623-631",
        collections=True,
    ),
    "empirical_bayes": Entry(
        "calib.calibrators.empirical_bayes:EmpiricalBayesCalibrator",
        "beta maps with a prior learnt from many models; the best for few labels of two classes",
        "Robbins 1956; Kull et al. 2017, PMLR 54:623-631",
        collections=True,
    ),
    "spline": Entry(
        "calib.calibrators.spline:SplineCalibrator",
        "penalised monotone spline of the log-odds; one-vs-rest beyond two classes",
        "Lucena 2018, arXiv 1809.07751",
        collections=True,
    ),
    "histogram": Entry(
        "calib.calibrators.histogram:HistogramCalibrator",
        "rate per bin, equal width or mass, or scaling-binning",
        "Zadrozny and Elkan 2001; Kumar et al. 2019, arXiv 1909.10155",
        collections=True,
    ),
    "ensemble_temperature": Entry(
        "calib.calibrators.ensemble:EnsembleTemperatureCalibrator",
        "mixture of tempered, raw and uniform probabilities (ETS)",
        "Zhang et al. 2020, arXiv 2003.07329",
        collections=True,
    ),
    "isotonic": Entry(
        "calib.calibrators.isotonic:IsotonicCalibrator",
        "monotone map of the probabilities; one-vs-rest beyond two classes",
        "Zadrozny and Elkan 2002, doi 10.1145/775047.775151",
        collections=True,
    ),
    "vector_scaling": Entry(
        "calib.calibrators.matrix:VectorScalingCalibrator",
        "scale and shift per class, shrunk towards a temperature (SVS)",
        "Berta et al. 2026, arXiv 2511.03685",
        collections=True,
    ),
    "matrix_scaling": Entry(
        "calib.calibrators.matrix:MatrixScalingCalibrator",
        "linear map of all classes, shrunk towards a temperature (SMS)",
        "Berta et al. 2026, arXiv 2511.03685",
        collections=True,
    ),
    "dirichlet": Entry(
        "calib.calibrators.dirichlet:DirichletCalibrator",
        "linear map of all classes with cross-validated penalties (ODIR)",
        "Kull et al. 2019, arXiv 1910.12656",
        collections=True,
    ),
    "venn_abers": Entry(
        "calib.calibrators.venn_abers.calibrator:VennAbersCalibrator",
        "two probabilities per sample, one exactly calibrated, and their merge",
        "Vovk and Petej 2014, arXiv 1211.0025; Vovk et al. 2015, arXiv 1511.00213",
        collections=True,
    ),
    "h_calibration": Entry(
        "calib.calibrators.h_calibration.calibrator:HCalibrator",
        "one temperature bent by a guarded order-preserving map, fitted to windowed errors",
        "Huang et al. 2025, arXiv 2506.17968",
    ),
    "correctness_aware": Entry(
        "calib.calibrators.correctness_aware.calibrator:CorrectnessAwareCalibrator",
        "one temperature per sample from views of it, fitted to correctness",
        "Liu et al. 2024, arXiv 2404.13016",
    ),
    "multicalibration": Entry(
        "calib.calibrators.multicalibration:MulticalibrationCalibrator",
        "boosted trees on features and score from a calibrated start, guarded; reads features",
        "Hebert-Johnson et al. 2018, arXiv 1711.08513; Tax et al. 2026, arXiv 2509.19884",
    ),
    "group": Entry(
        "calib.calibrators.group:GroupCalibrator",
        "one line per group, drawn to that of all, guarded; reads the group",
        "Morris 1983, doi 10.1080/01621459.1983.10477920",
    ),
    "split_point": Entry(
        "calib.calibrators.split_point:SplitPointCalibrator",
        "temperature, then a guarded correction learnt from residuals; reads features",
        "Zhao and Chen 2025, arXiv 2509.13262",
        saves=False,  # its heads are an inner model
        torch=False,
        torch_targets=(),
    ),
}


#: What scikit-learn, netcal and papers call a method, in small letters alone -> its name here.
OTHER_NAMES = {
    "sigmoid": "platt",
    "logistic": "platt",
    "logisticcalibration": "platt",
    "plattscaling": "platt",
    "betacalibration": "beta",
    "temperaturescaling": "temperature",
    "ts": "temperature",
    "ets": "ensemble_temperature",
    "ensembletemperaturescaling": "ensemble_temperature",
    "histogrambinning": "histogram",
    "scalingbinning": "histogram",
    "bbq": "histogram",
    "isotonicregression": "isotonic",
    "enir": "isotonic",
    "nearisotonicregression": "isotonic",
    "vectorscaling": "vector_scaling",
    "svs": "vector_scaling",
    "matrixscaling": "matrix_scaling",
    "sms": "matrix_scaling",
    "odir": "dirichlet",
    "dirichletcalibration": "dirichlet",
    "splinecalibration": "spline",
    "va": "venn_abers",
    "ivap": "venn_abers",
    "cvap": "venn_abers",
    "hcalibration": "h_calibration",
}


def closest_name(name: str, extra: tuple[str, ...] = ()) -> str | None:
    """Return the registry name that another library's word, or a misspelt one, stands for.

    `extra` holds names beside those of the registry.
    """
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    names = {row.replace("_", ""): row for row in (*CALIBRATORS, *extra)}
    names |= {row.class_name.lower(): key for key, row in CALIBRATORS.items()} | OTHER_NAMES
    for candidate in (
        letters,
        letters.removesuffix("calibrator"),
        letters.removesuffix("calibration"),
    ):
        if candidate in names:
            return names[candidate]
    close = nearest(letters, names, cutoff=0.75)
    return names[str(close)] if close is not None else None


def get_entry(name: str) -> Entry:
    """Return the row of a registry name, or raise a `ValueError` that lists the names."""
    if not isinstance(name, str) or name not in CALIBRATORS:
        from calib._border.checks import describe  # loads NumPy, which a list of names does not

        known = ", ".join(CALIBRATORS)
        meant = closest_name(name) if isinstance(name, str) else None
        hint = "" if meant is None else f". Did you mean {meant!r}?"
        raise ValueError(f"unknown calibrator {describe(name)}; known names: {known}{hint}")
    return CALIBRATORS[name]


def make_calibrator(name: str, **params: Any) -> BaseCalibrator:
    """Build a calibrator from its registry name.

    Parameters
    ----------
    name : str
        A key of ``CALIBRATORS``, for instance ``"temperature"``.
    **params : dict
        Constructor arguments of that calibrator.

    Returns
    -------
    calibrator : BaseCalibrator
        A new, unfitted calibrator.

    Raises
    ------
    ValueError
        If the name is unknown; the text lists the known ones, and the one that is meant by a word
        of scikit-learn or netcal.
    TypeError
        If the calibrator does not take one of the parameters.

    Examples
    --------
    >>> from calib import make_calibrator
    >>> make_calibrator("temperature", input="logits")
    TemperatureCalibrator(input='logits')
    """
    return get_entry(name).load()(**params)


def parameter_names(method: type[BaseCalibrator]) -> list[str]:
    """Return the names of the constructor arguments of a calibrator, sorted."""
    return list(method().get_params(deep=False))


def name_of(calibrator: object) -> str | None:
    """Return the registry name of a calibrator, None if its class is not registered."""
    target = f"{type(calibrator).__module__}:{type(calibrator).__name__}"
    return next((name for name, row in CALIBRATORS.items() if row.target == target), None)


def all_calibrators(
    *, available: bool | None = None, soft_targets: bool | None = None
) -> list[tuple[str, type[BaseCalibrator]]]:
    """Return registry names with their classes, optionally filtered.

    Parameters
    ----------
    available : bool, default=None
        Keep only calibrators whose optional packages are (``True``) or are not (``False``)
        installed.
    soft_targets : bool, default=None
        Keep only calibrators that do (``True``) or do not (``False``) accept fractions in [0, 1]
        as targets.

    Returns
    -------
    pairs : list of (str, type)
        In the order of the table.

    Examples
    --------
    >>> from calib import all_calibrators
    >>> [name for name, _ in all_calibrators(soft_targets=True)][:2]
    ['temperature', 'platt']
    """
    pairs = []
    for name, row in CALIBRATORS.items():
        if available is not None and row.available is not available:
            continue
        method = row.load()
        if soft_targets is None or method.soft_targets is soft_targets:
            pairs.append((name, method))
    return pairs
