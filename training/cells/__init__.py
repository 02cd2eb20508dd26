"""Labelled cells before any network sees them: names, split, panel."""
