"""Fast twins of a few readable lines. Each file names its slow twin and the test that holds the two equal."""
