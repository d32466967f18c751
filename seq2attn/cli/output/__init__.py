"""What the commands write: results, reports, progress."""
