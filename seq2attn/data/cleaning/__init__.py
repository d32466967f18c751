"""What is wrong with a pair of texts, and what is mended. It knows no file, no tokenizer and no model."""
