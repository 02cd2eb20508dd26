"""Where the workers of one server leave their counts."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder. BentoML makes it and hands it to its workers; nobody else has it."""
