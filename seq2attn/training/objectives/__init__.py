"""What training minimises: objectives, each a function of a batch that gives sums over its target tokens."""
