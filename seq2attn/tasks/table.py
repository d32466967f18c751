"""A table of text cells, as Markdown, LaTeX or HTML."""

import html
import re
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "[": "{[}",  # after the end of a row it would begin an argument
    "*": "{*}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """Rows of cells under headers. Columns of numbers are aligned to the right.

    A name may hold any character: in a cell it breaks no line, and it is neither markup nor a command.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown."""
        rule = ["---:" if number else "---" for number in self._numbers()]
        lines = [self.headers, rule, *self.rows]
        return "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)

    def to_latex(self) -> str:
        r"""A tabular for LaTeX. It needs \usepackage{booktabs}."""
        columns = "".join("r" if number else "l" for number in self._numbers())
        header, *rows = (" & ".join(map(_latex, line)) + r" \\" for line in (self.headers, *self.rows))
        body = [r"\toprule", header, r"\midrule", *rows, r"\bottomrule"]
        return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])

    def to_html(self) -> str:
        """A table of HTML, for a notebook."""
        styles = [f' style="text-align: {"right" if number else "left"}"' for number in self._numbers()]
        lines = [("th", self.headers), *(("td", row) for row in self.rows)]
        return "\n".join(
            [
                "<table>",
                *(
                    "<tr>"
                    + "".join(
                        f"<{tag}{style}>{html.escape(_printable(cell))}</{tag}>"
                        for cell, style in zip(line, styles, strict=True)
                    )
                    + "</tr>"
                    for tag, line in lines
                ),
                "</table>",
            ]
        )

    def _numbers(self) -> list[bool]:
        """Whether each column holds numbers."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.headers)
        return [bool(cells) and all(map(_is_number, cells)) for cells in columns]


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-–—]*|[-+0-9.,%±() ]+", cell) is not None


def _printable(text: str) -> str:
    """The text with escapes for line breaks, control characters and marks that change the direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _markdown(text: str) -> str:
    """The text as it is: Markdown and HTML in the name of a file have no effect."""
    marks = r"[|<&*`\\\[\]~]|(?<![^\W_])_|_(?![^\W_])"
    return re.sub(marks, lambda mark: f"&#{ord(mark[0])};", _printable(text))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _printable(text))
