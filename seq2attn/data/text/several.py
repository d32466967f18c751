"""Several corpora of text as one, each with a weight in training."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from seq2attn.data.corpus import Row
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError


def join(parts: Sequence[tuple[Corpus, float]]) -> Corpus:
    """The corpora, one after another. Their notes are those of all.

    If one of them has splits, the pairs of those without are training pairs. Pairs are set aside for
    validation and test only from those of the largest weight. Raises UserError for other languages.
    """
    first = parts[0][0]
    languages = next((one.languages for one, _ in parts if any(one.languages)), first.languages)
    for one, _ in parts:
        if any(one.languages) and one.languages != languages:
            sides = " and ".join(str(language) for language in one.languages)
            others = f"where those of the others are {languages[0]} and {languages[1]}"
            raise UserError(f"{one.name}: its sides are {sides}, {others}")
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        opened = [(one, weight, one.rows()) for one, weight in parts]
        heads = [list(islice(rows, 1)) for *_, rows in opened]
        divided = any(head and head[0].split for head in heads)
        counts = []
        for (one, weight, rest), head in zip(opened, heads, strict=True):
            count = 0
            for count, row in enumerate(chain(head, rest), 1):  # noqa: B007 - used below
                split = row.split or ("train" if divided else None)
                yield row._replace(split=split, weight=weight)
            how = "once" if weight == 1 else f"{weight:g} times"
            counts.append(f"{count:,} pairs of {one.name} {how}")
            notes.extend(note for note in one.notes if note not in notes)
        notes.append(f"an epoch has {', '.join(counts)}")

    return replace(
        first,
        name=" and ".join(one.name for one, _ in parts),
        languages=languages,
        rows=rows,
        inputs=[path for one, _ in parts for path in one.inputs],
        notes=notes,
        top_weight=max(weight for _, weight in parts),
        has_weights=any(weight != 1 for _, weight in parts),
    )
