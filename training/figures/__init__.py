"""The pictures that a run logs."""
