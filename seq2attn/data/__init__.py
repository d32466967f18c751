"""Raw corpora in, prepared folders and batches out. Knows no model."""
