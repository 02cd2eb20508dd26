"""Whether a matrix holds raw counts, and what it holds if not."""
