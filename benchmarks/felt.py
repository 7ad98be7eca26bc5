"""What users feel: one row for each thing that is waited for, with the bounds that it keeps.

A row is looked up by name in processes of its own, so this module loads neither the library nor
any peer: what makes data, calls and peers is in `benchmarks.felt_calls` and imports when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmarks import felt_calls as calls
from benchmarks.data import Size
from calib.registry import CALIBRATORS

if TYPE_CHECKING:
    from uq.conformal.nonconformity import ConformityScore

#: What a bound is about: CPU seconds of the first call of a process or of later ones, the same
#: over those of the fastest peer, MB beyond input and output, that over the MB of the input,
#: million rows a second (at least), exponent of the warm time in the number of rows.
Measure = Literal["cold", "warm", "cold/peer", "warm/peer", "MB", "MB/input", "M rows/s", "n^"]


@dataclass(frozen=True)
class Bound:
    """The most that a measure may be (the least, of rows a second), at one size or at each."""

    measure: Measure
    limit: float
    size: Size | None = None


@dataclass(frozen=True)
class Peer:
    """The same thing done by another package.

    Attributes
    ----------
    package : str
        What has to be installed.
    label : str
        What is called.
    setup, call : callable
        As in `Felt`.
    most : int or None
        Number of elements beyond which it is not run: it would fill the memory.
    """

    package: str
    label: str
    setup: Callable[[Size], Any]
    call: Callable[[Any], Any]
    most: int | None = None


@dataclass(frozen=True)
class Felt:
    """A row of the table.

    Attributes
    ----------
    name : str
        For ``--only``.
    setup : callable
        ``setup(size)``, not timed: data, fitted models, and the import of what is called.
    call : callable
        ``call(data)``, timed, on what `setup` returned.
    sizes : tuple of Size
        From small to large; three or more that differ only in rows, or only in classes, give an
        exponent.
    quick : Size
        For ``--quick``.
    bounds : tuple of Bound
        What has to hold.
    peers : tuple of Peer
        Measured beside it.
    """

    name: str
    setup: Callable[[Size], Any]
    call: Callable[[Any], Any]
    sizes: tuple[Size, ...]
    quick: Size
    bounds: tuple[Bound, ...]
    peers: tuple[Peer, ...] = ()


def _rows(n_classes: int, *numbers: int) -> tuple[Size, ...]:
    return tuple(Size(number, n_classes) for number in numbers)


def _classes(n_samples: int, *numbers: int) -> tuple[Size, ...]:
    return tuple(Size(n_samples, number) for number in numbers)


def _one_row(name: str) -> Felt:
    """Return the row of a registered map that is applied to one sample."""
    two, thousand = Size(1, 2), Size(1, 1000)
    bounds = [Bound("warm", 25e-6 if name == "venn_abers" else 35e-6, two)]
    if name in ("isotonic", "venn_abers", "histogram"):
        bounds.append(Bound("warm", 0.3e-3, thousand))
    sizes = (two, Size(1, 30), thousand) if len(bounds) > 1 else (two,)
    peers = {
        "venn_abers": (
            Peer("venn_abers", "venn-abers", calls.venn_abers_peer_row, calls.predict_proba, 2),
        ),
        "isotonic": (
            Peer("sklearn", "scikit-learn isotonic", calls.peer_row("isotonic", 0), calls.apply),
        ),
        "histogram": (Peer("netcal", "netcal", calls.peer_row("histogram", 0), calls.apply),),
        "beta": (Peer("netcal", "netcal", calls.peer_row("beta", 0), calls.apply, 2),),
        "platt": (
            Peer("sklearn", "scikit-learn sigmoid", calls.peer_row("platt", 0), calls.apply),
        ),
        "temperature": (
            Peer(
                "sklearn", "scikit-learn temperature", calls.peer_row("temperature", 0), calls.apply
            ),
        ),
    }
    return Felt(
        f"one_row_{name}",
        calls.own_row(name),
        calls.predict_proba,
        sizes,
        two,
        tuple(bounds),
        peers.get(name, ()),
    )


def _prediction_sets(score: ConformityScore) -> Felt:
    peers = {
        "lac": (_mapie("lac"),),
        "aps": (_mapie("aps"),),
        "top_k": (_mapie("top_k"),),
        "raps": (),  # MAPIE's tunes its penalty: other work
    }
    return Felt(
        f"predict_set_{score}",
        calls.prediction_sets(score),
        calls.predict_set,
        (*_classes(100_000, 10, 30, 100), Size(300_000, 100), Size(1_000_000, 100)),
        Size(10_000, 10),
        (Bound("MB", 60, Size(1_000_000, 100)),),
        peers[score],
    )


def _mapie(score: str) -> Peer:
    return Peer("mapie", f"MAPIE {score}", calls.mapie_sets(score), calls.predict_set, 10_000_000)


SCORES: tuple[ConformityScore, ...] = ("lac", "aps", "raps", "top_k")
FELT: tuple[Felt, ...] = (
    Felt(
        "first_venn_abers_fit",
        calls.venn_abers_scores,
        calls.fit_venn_abers,
        _rows(1, 1_000, 10_000, 100_000),
        Size(1_000, 1),
        (
            Bound("cold", 0.02, Size(10_000, 1)),
            Bound("cold", 0.12, Size(100_000, 1)),
            Bound("cold/peer", 1.0),
            Bound("warm/peer", 1.0),
        ),
        (
            Peer(
                "venn_abers", "venn-abers", calls.venn_abers_peer_scores, calls.fit_venn_abers_peer
            ),
        ),
    ),
    *(_one_row(name) for name in CALIBRATORS),
    Felt(
        "calibration_report",
        calls.probabilities,
        calls.report,
        (*_rows(2, 10_000, 100_000, 1_000_000), *_classes(50_000, 10, 100, 1000)),
        Size(2_000, 2),
        (Bound("warm", 1.0, Size(1_000_000, 2)), Bound("warm", 4.0, Size(50_000, 1000))),
    ),
    *(
        Felt(
            f"calib_report_{kind}",
            calls.score_table(kind),
            calls.run_report,
            _rows(10, 100_000, 300_000, 1_000_000),
            Size(5_000, 10),
            (Bound("warm", 4.0, Size(1_000_000, 10)),),
        )
        for kind in ("parquet", "csv")
    ),
    Felt(
        "nearest_neighbor_fit",
        calls.features,
        calls.fit_nearest,
        _rows(512, 25_000, 50_000, 100_000),
        Size(2_000, 64),
        (Bound("warm", 5.0, Size(100_000, 512)), Bound("n^", 1.2)),
        (Peer("sklearn", "scikit-learn NearestNeighbors", calls.features, calls.fit_nearest_peer),),
    ),
    *(_prediction_sets(score) for score in SCORES),
    Felt(
        "tensor_temperature",
        calls.tensors,
        calls.transform_tensor,
        (*_classes(20_000, 10, 100), *_rows(1000, 5_000, 10_000, 20_000)),
        Size(1_000, 10),
        (Bound("warm", 0.2, Size(20_000, 1000)), Bound("MB", 100, Size(20_000, 1000))),
        (Peer("torch", "one torch.softmax", calls.tensors, calls.softmax_tensor),),
    ),
    Felt(
        "dirichlet_fit",
        calls.logits("dirichlet"),
        calls.fit,
        _classes(5_000, 10, 30, 100),
        Size(500, 3),
        (Bound("warm", 3.0, Size(5_000, 30)), Bound("warm", 30.0, Size(5_000, 100))),
    ),
    Felt(
        "auto_fit",
        calls.logits("auto"),
        calls.fit,
        (Size(10_000, 2), *_rows(10, 2_000, 4_500, 10_000), *_classes(2_000, 30, 100)),
        Size(500, 3),
        (
            Bound("warm", 3.0, Size(2_000, 100)),
            Bound("warm", 1.0, Size(10_000, 10)),
            Bound("warm", 0.1, Size(10_000, 2)),
        ),
    ),
    Felt(
        "isotonic_fit",
        calls.isotonic_scores,
        calls.fit,
        _rows(1, 100_000, 1_000_000, 10_000_000),
        Size(10_000, 1),
        (Bound("MB/input", 4.0, Size(10_000_000, 1)),),
        (Peer("sklearn", "IsotonicRegression", calls.isotonic_peer_scores, calls.fit),),
    ),
    Felt(
        "streamed_classes",
        calls.probabilities,
        calls.stream,
        _rows(10, 100_000, 300_000, 1_000_000),
        Size(10_000, 10),
        (Bound("M rows/s", 3.0, Size(1_000_000, 10)),),
        (
            Peer(
                "torchmetrics",
                "torchmetrics, error of the top label alone",
                calls.probability_tensors,
                calls.stream_peer,
            ),
        ),
    ),
    Felt(
        "calib_methods",
        calls.command("methods"),
        calls.run_command,
        (Size(0, 0),),
        Size(0, 0),
        (Bound("warm", 0.15),),
    ),
    Felt(
        "calib_help",
        calls.command("--help"),
        calls.run_command,
        (Size(0, 0),),
        Size(0, 0),
        (Bound("warm", 0.15),),
    ),
    Felt(
        "calibration_error",
        calls.probabilities,
        calls.calibration_error,
        _rows(1, 10_000, 100_000, 1_000_000),
        Size(10_000, 1),
        (Bound("warm/peer", 1.6, Size(1_000_000, 1)), Bound("MB", 16, Size(1_000_000, 1))),
        (Peer("numpy", "one bincount pass", calls.part_to_count, calls.apply),),
    ),
)


def by_name(name: str) -> Felt:
    """Return the row of that name."""
    return next(felt for felt in FELT if felt.name == name)
