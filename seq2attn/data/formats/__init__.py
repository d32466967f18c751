"""File formats: bytes to lines, rows and records, with bounds. No file here knows what a corpus is for."""
