// Curves have nothing to point at.
