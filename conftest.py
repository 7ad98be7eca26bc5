"""What is collected where an extra is not installed, and how property tests draw."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import HealthCheck, settings

#: Modules whose docstring examples need an extra.
NEEDS = {"calib/distributed/collections.py": "dask", "calib/export/modules.py": "torch"}
collect_ignore = [path for path, extra in NEEDS.items() if not importlib.util.find_spec(extra)]

# a loaded machine makes draws slow, not wrong; "ci" draws the same examples every time
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests map scores that no fit has seen; those of the warning itself ask for it."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore::calib.warnings.ScoreRangeWarning"))
