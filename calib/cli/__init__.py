"""The command line."""

from calib.cli.program import main

__all__ = ["main"]
