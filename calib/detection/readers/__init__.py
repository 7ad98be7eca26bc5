"""Boxes out of files and of the outputs of detection frameworks."""
