"""What a notebook shows: text is escaped, styles stay in a frame, and a table has no style of its own."""

import html
import re

import numpy as np

from seq2attn.plotting import html_alignment, html_fragment, html_overlay
from seq2attn.plotting.alignment import Alignment

HOSTILE = "</script><img src=x onerror=alert(1)>\"'\x1b\u202e"


def unframed(fragment: str) -> str:
    """The page in the frame that is all of a fragment."""
    match = re.fullmatch(r'<iframe srcdoc="([^"]*)" ([^<>]*)></iframe>', fragment)
    assert match is not None
    assert 'sandbox="allow-scripts"' in match[2]  # without allow-same-origin: it cannot reach the notebook
    return html.unescape(match[1])


def test_an_alignment_is_a_page_in_a_frame():
    alignment = Alignment([HOSTILE, "a"], ["b"], np.array([[0.5, 0.5]]))
    page = unframed(html_alignment.fragment(alignment))
    assert page.startswith("<!DOCTYPE html>")
    assert "Content-Security-Policy" in page
    assert "<img" not in page
    assert "<h1>" not in page
    assert "\u202e" not in page


def test_a_caption_is_a_page_in_a_frame():
    image = html_overlay.CaptionAttention(
        np.zeros((4, 6, 3), np.uint8), [HOSTILE], np.array([[0.5, 0.5]]), (1, 2)
    )
    page = unframed(html_overlay.fragment(image))
    assert page.count("<img") == 1
    assert "&lt;img src=x" in page


def test_a_longer_text_has_a_higher_frame_up_to_a_bound():
    heights = []
    for count in (3, 30, 200):
        alignment = Alignment(["word"] * count, ["mot"] * count, np.full((count, count), 1 / count))
        heights.append(int(re.findall(r"100%; height: (\d+)px", html_alignment.fragment(alignment))[0]))
    assert heights[0] < heights[1] < heights[2] <= 640


def test_a_table_escapes_its_cells_and_has_no_style_sheet():
    table = html_fragment.table([("a<b", 3, HOSTILE), ("c", 1.5, True)], ["name", "count", "text"])
    assert "<img" not in table
    assert "<style" not in table
    assert table.count("text-align: right") == 2
    assert "<thead>" in table
    assert "<thead>" not in html_fragment.table([("a", 1)])
