"""Populations of cells that no learned type explains."""
