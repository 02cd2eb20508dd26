"""Gene names, gene tables, and the panel of genes that a model reads."""
