"""Reports on large files: rows a second and peak memory of ``calib report --stream``.

Run as ``python -m benchmarks.streaming [--rows 20000000]``. Makes a parquet file of that many rows
(a float32 probability and an int8 label, 5 bytes a row before compression) in a temporary folder,
reports on it in a process of its own, and prints CPU seconds, rows a second and the peak resident
memory of that process, less what an import of the package takes. Half of the file is measured too:
what does not grow from half to whole is flat.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROW_GROUP = 1 << 20
CHILD = """
import resource, sys, time
from calib.cli import main, report
import pyarrow.parquet
import calib.evaluation.stream.accumulator
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start, wall = time.process_time(), time.perf_counter()
code = main(sys.argv[1:])
spent, wall = time.process_time() - start, time.perf_counter() - wall
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("MEASURED", spent, wall, before, after, file=sys.stderr)
sys.exit(code)
"""


def make_file(path: Path, n_rows: int) -> None:
    """Write over-confident probabilities with their labels, row group by row group."""
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([("p", pyarrow.float32()), ("y", pyarrow.int8())])
    rng = np.random.default_rng(0)
    with parquet.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, n_rows, ROW_GROUP):
            n = min(ROW_GROUP, n_rows - start)
            z = 2.0 * rng.normal(size=n)
            p = (1.0 / (1.0 + np.exp(-1.3 * z))).astype(np.float32)
            y = (rng.random(n) < 1.0 / (1.0 + np.exp(-z))).astype(np.int8)
            writer.write_table(pyarrow.table({"p": p, "y": y}, schema=schema))


def measure(path: Path) -> tuple[float, float, float, float]:
    """Return CPU seconds, wall seconds, and resident MB before and at the peak."""
    command = [sys.executable, "-c", CHILD, "report", str(path), "--label", "y", "--proba", "p"]
    done = subprocess.run([*command, "--stream"], capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if line.startswith("MEASURED"))
    spent, wall, before, after = (float(part) for part in line.split()[1:])
    return spent, wall, before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in (args.rows // 2, args.rows):
            path = Path(folder) / "rows.parquet"
            start = time.perf_counter()
            make_file(path, n_rows)
            size = path.stat().st_size / 1e6
            print(f"made {n_rows:,} rows, {size:.0f} MB, in {time.perf_counter() - start:.0f} s")
            spent, wall, before, after = measure(path)
            print(
                f"  {spent:.2f} CPU s ({wall:.2f} s), {n_rows / spent / 1e6:.1f} million rows per "
                f"CPU second; resident {before:.0f} MB before, {after:.0f} MB at the peak"
            )


if __name__ == "__main__":
    main()
