"""Drawings of attention: image files by matplotlib, HTML pages, and block characters for the terminal.

This package knows weights and words, and no model.
"""

import logging

# Without a writable cache folder, matplotlib prints three lines on stderr and draws all the same.
if logging.getLogger("matplotlib").level == logging.NOTSET:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)

IMAGES = (".png", ".svg", ".pdf")  # endings of image files
PAGES = (".html", ".htm")  # endings of pages
MOST_PANELS = 30  # panels of one image
MOST_ON_A_PAGE = 200  # pairs on one page
