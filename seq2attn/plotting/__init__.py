"""Pictures of attention: files by matplotlib, a page for the browser, blocks for the terminal. Knows weights and words, no model."""

PICTURES = (".png", ".svg", ".pdf")  # endings that `heatmap` writes
PAGES = (".html", ".htm")  # and `page`
