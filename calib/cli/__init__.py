"""The command line: `main` runs the command `calib`.

`program` names the commands, `files` reads tables and writes results. The commands of `uq` live in
`uq.cli`.
"""

from calib._names import check_package

check_package()

from calib.cli.program import main  # noqa: E402

__all__ = ["main"]
