"""Whole files and batches of files: annotate, validate, compare."""
