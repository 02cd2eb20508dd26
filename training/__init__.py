"""Labelled cells become a tracked, proven, registered bundle."""
