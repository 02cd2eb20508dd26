"""The commands of the `cellmark` program that need no training libraries, one per file."""
