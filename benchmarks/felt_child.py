"""Measure one row of `benchmarks.felt` at one size in this process, and print JSON lines.

``python -m benchmarks.felt_child NAME ROWS CLASSES [--peers 0,1] [--cold-of PEER] [--enough S]``.
The first call is the cold one. Without ``--cold-of`` warm times and memory follow, then those of
the peers, each in turns with this library; with it, only the first call of that peer, or with
``-1`` of this library, is made. Numbers are printed as soon as they are known, so that a process
that is stopped has said what it found.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks.data import Size
from benchmarks.felt import Felt, Peer, by_name
from benchmarks.felt_calls import Ended, megabytes_of
from benchmarks.measure import (
    ENOUGH,
    alternating_seconds,
    cpu_seconds,
    extra_megabytes,
    reference_seconds,
    spread,
)

#: A first call that takes more CPU seconds stands for later ones: what it loads is little of it.
LONG = 30.0
#: The number that stands for this library where peers have theirs.
OURS = -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("n_samples", type=int)
    parser.add_argument("n_classes", type=int)
    parser.add_argument("--peers", default="", help="numbers with commas between them")
    parser.add_argument("--cold-of", type=int)
    parser.add_argument("--enough", type=float, default=ENOUGH, help="CPU seconds of warm calls")
    options = parser.parse_args()
    felt = by_name(options.name)
    size = Size(options.n_samples, options.n_classes)
    warnings.simplefilter("ignore")
    if options.cold_of is not None:
        side = felt if options.cold_of == OURS else felt.peers[options.cold_of]
        _first_call(side, size, options.cold_of)
        return
    try:
        own = _measure(felt, size, options.enough)
    except ModuleNotFoundError as error:
        _say(who=OURS, note=f"not installed: {error.name}")
        return
    for number in map(int, filter(None, options.peers.split(","))):
        try:
            _measure_peer(felt.peers[number], size, own, number, options.enough)
        except ModuleNotFoundError as error:
            _say(who=number, note=f"not installed: {error.name}")
        except Exception as error:  # a peer that fails is a finding, not the end of the run
            _say(who=number, note=f"failed: {type(error).__name__}: {str(error)[:60]!r}")


def _first_call(side: Felt | Peer, size: Size, who: int) -> tuple[Any, Any, float]:
    """Say the time of the first call; return the data, what the call returned and the time."""
    data = side.setup(size)
    start = cpu_seconds()
    result = side.call(data)
    taken = cpu_seconds() - start
    _say(who=who, cold_seconds=taken)
    return data, result, taken


def _measure(felt: Felt, size: Size, enough: float) -> Callable[[], Any]:
    data, result, first = _first_call(felt, size, OURS)
    output, ended = megabytes_of(result), isinstance(result, Ended)
    peak = result.megabytes if ended else None
    del result

    def call() -> Any:
        return felt.call(data)

    before = reference_seconds()
    times = [first] if first > LONG else alternating_seconds(call, enough=enough)[0]
    reference = min(before, reference_seconds())
    _say(who=OURS, seconds=min(times), spread=spread(times), reference=reference)
    extra = (peak or None) if ended else max(extra_megabytes(call) - output, 0.0)
    _say(who=OURS, megabytes=extra, input_megabytes=megabytes_of(data))
    return call


def _measure_peer(peer: Peer, size: Size, own: Callable[[], Any], who: int, enough: float) -> None:
    data = peer.setup(size)

    def call() -> Any:
        return peer.call(data)

    output = megabytes_of(call())
    before = reference_seconds()
    times, own_times = alternating_seconds(call, own, enough=enough)
    reference = min(before, reference_seconds())
    _say(
        who=who,
        seconds=min(times),
        ratio=min(times) / min(own_times),
        spread=max(spread(times), spread(own_times)),
        reference=reference,
    )
    _say(who=who, megabytes=max(extra_megabytes(call) - output, 0.0))


def _say(**numbers: Any) -> None:
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
