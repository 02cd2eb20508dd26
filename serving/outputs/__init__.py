"""Writing results: calls, markers and populations, as tables or `.h5ad` copies."""
