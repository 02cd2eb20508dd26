"""What is shown on a terminal: tables, notes, progress."""
