"""Charts of trainings as one HTML page, in light and dark mode, with the numbers as a table.

It knows numbers and names, and no run.
"""

from collections.abc import Sequence
from pathlib import Path

from seq2attn.plotting import html_page, svg_chart
from seq2attn.plotting.charts import Chart


def save(
    charts: Sequence[Chart],
    names: Sequence[str],
    table: Sequence[Sequence[str]],
    path: Path,
    title: str,
    note: str,
) -> None:
    """Write the page to `path`, whole or not at all."""
    html_page.write(render(charts, names, table, title, note), path)


def render(
    charts: Sequence[Chart], names: Sequence[str], table: Sequence[Sequence[str]], title: str, note: str
) -> str:
    """The page as text. The first line of `table` has its headings, and each line begins with a run."""
    headings, *lines = table
    head = "".join(f'<th scope="col">{html_page.text(cell)}</th>' for cell in headings)
    body = "\n".join(
        f'<tr><th scope="row"><bdi>{html_page.text(line[0])}</bdi></th>'
        + "".join(f"<td>{html_page.text(cell)}</td>" for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    sections = [
        svg_chart.legend(names),
        '<div class="charts">' + "\n".join(svg_chart.figure(chart, names) for chart in charts) + "</div>",
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>',
    ]
    return html_page.page(title, html_page.text(note), sections, [], "curves", charts=True)
