"""What the commands write: results, reports and progress."""
