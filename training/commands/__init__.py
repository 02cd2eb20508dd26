"""The commands of the `cellmark` program that need training libraries, one per file."""
