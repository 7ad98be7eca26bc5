"""Print how many tests passed, failed and were skipped, out of pytest's result files."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

NAMES = ("tests", "failures", "errors", "skipped")


def main(paths: list[str]) -> None:
    """Print one line for all files together, and one with the seconds of each."""
    totals = dict.fromkeys(NAMES, 0)
    for path in paths:
        seconds = 0.0
        for suite in ElementTree.parse(path).iter("testsuite"):
            seconds += float(suite.get("time", 0))
            for name in NAMES:
                totals[name] += int(suite.get(name, 0))
        print(f"{path.rpartition('/')[2]}: {seconds:.0f} s")
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    print(f"{passed} passed, {failed} failed, {totals['skipped']} skipped")


if __name__ == "__main__":
    main(sys.argv[1:])
