"""Word lists written as running text, which is how a linguist reads and mends them. It knows no words itself."""


def listed(text: str) -> tuple[str, ...]:
    """The words of a list, in order."""
    return tuple(text.split())


def among(text: str) -> frozenset[str]:
    """The words of a list, to look up."""
    return frozenset(text.split())
