"""The command line: each command parses, calls the plain function that does the work, and prints."""
