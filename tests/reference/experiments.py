"""Weights of one row that an experiment changes, in plain loops."""


def shared_weights(row, may_read, word_of, weight_of):
    """The weights of `row` with those of `weight_of` for some words: word -> weight.

    The positions of a word share its weight in proportion to their own weights; all others share what remains
    of the sum of the row. Where all own weights of a group are 0, its parts are equal; positions that may not
    be read have none.
    """
    named = sum(weight_of.values())
    rest = max(sum(row) - named, 0.0)
    groups = {word: ([j for j, of in enumerate(word_of) if of == word], w) for word, w in weight_of.items()}
    others = [j for j, of in enumerate(word_of) if of not in weight_of and may_read[j]]
    changed = [0.0] * len(row)
    for positions, weight in [*groups.values(), (others, rest)]:
        total = sum(row[j] for j in positions)
        for j in positions:
            changed[j] = weight * (row[j] / total if total > 0 else 1 / len(positions))
    return changed
