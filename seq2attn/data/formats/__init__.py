"""File formats: bytes to lines, rows and records, with bounds. No module here knows what a corpus is for."""
