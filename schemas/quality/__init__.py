"""Great Expectations suites of a sample's quality, and their results."""
