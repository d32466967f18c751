"""The best attention of a run, by what was measured on the validation set, and what a run remembers."""

from seq2attn.runs.choice import MEAN, AttentionChoice, remember, remembered

__all__ = ["MEAN", "AttentionChoice", "candidates", "remember", "remembered"]


def candidates(layers: int, heads: int) -> list[AttentionChoice]:
    """Every matrix of attention that can be shown, written and read: the mean, that of each layer, each head.

    Without several layers and heads the mean is the only head, and is named by it.
    """
    places: list[tuple[int | None, int | None]] = [(None, None)] if layers * heads > 1 else []
    for layer in range(1, layers + 1):
        if layers > 1 and heads > 1:
            places.append((layer, None))
        places += [(layer, head) for head in range(1, heads + 1)]
    return [AttentionChoice(layer, head, shift) for shift in (0, 1) for layer, head in places]
