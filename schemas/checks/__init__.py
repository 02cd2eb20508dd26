"""What is wrong with cells, labels and donors: every check, and the one report of them."""
