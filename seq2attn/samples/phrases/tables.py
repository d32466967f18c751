"""Word lists written as running text, which a linguist can read and edit. It knows no words itself."""


def rows(text: str) -> list[str]:
    """The lines of a table; a line that begins with white space continues the line before."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if line[0].isspace():
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.rstrip())
    return lines


def listed(text: str) -> tuple[str, ...]:
    """The words of a list, in order."""
    return tuple(text.split())


def among(text: str) -> frozenset[str]:
    """The words of a list, to look up."""
    return frozenset(text.split())
