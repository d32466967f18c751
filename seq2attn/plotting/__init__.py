"""Images of attention: files by matplotlib, a page for the browser, blocks for the terminal. Knows weights
and words, no model."""

import logging

# without a writable cache it says so in three lines on stderr, and draws all the same
if logging.getLogger("matplotlib").level == logging.NOTSET:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)

IMAGES = (".png", ".svg", ".pdf")  # endings that `heatmap` writes
PAGES = (".html", ".htm")  # and `page`
