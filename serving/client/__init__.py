"""A running service asked from Python or the command line, with the answers that a model at hand would give."""
