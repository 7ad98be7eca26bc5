"""Private foundations shared by `calib` and `uq`; nothing here is public API."""
