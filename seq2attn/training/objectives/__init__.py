"""What training minimises beside cross-entropy."""
