"""What explains a model: its attention judged, compared and turned into word alignments."""
