"""What stands between a caller and the library: checks, warnings, files, random numbers."""
