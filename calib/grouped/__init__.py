"""One map per group, one for all, and everything between; knows nothing of boxes."""
