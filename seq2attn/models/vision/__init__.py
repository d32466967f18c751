"""Backbones that turn images into grids of features, and their published weights."""
