"""Commands of `calib` that need `uq`; `calib.cli.program` names them and imports them on demand."""
