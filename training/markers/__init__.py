"""Marker genes: rankings, tests, stability, conditions compared."""
