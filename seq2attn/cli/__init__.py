"""The command line. Each command parses, calls a plain function that does the work, and prints."""
