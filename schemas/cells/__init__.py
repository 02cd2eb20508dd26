"""Files and objects become cells: one reader per format, and the limits they hold to."""
