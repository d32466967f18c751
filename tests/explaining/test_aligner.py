"""Links of given pairs: arg max and thresholds by hand, words read one step later in plain loops, and the
agreement with what `translate` gives for its own outputs.
"""

import numpy as np
import pytest
import tiny

from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UsageError
from seq2attn.explaining.aligner import Aligner, Direction, is_too_long, links_of, pharaoh
from seq2attn.explaining.link_settings import LinkSettings
from seq2attn.explaining.symmetrise import symmetrise
from seq2attn.inference import MAX_SOURCE, Translator
from seq2attn.inference.words import word_numbers

HEADS = {
    "kind": "transformer",
    "size": 12,
    "layers": 2,
    "heads": 2,
    "attention": {"score": "scaled-dot", "heads": 2, "size": 12},
    "encoder": {"kind": "transformer", "size": 12, "layers": 1, "heads": 2},
}


def test_links_of_takes_the_largest_weight_or_all_from_a_threshold_on() -> None:
    weights = np.array([[0.1, 0.5, 0.4], [0.0, 0.0, 0.0], [0.3, 0.3, 0.2], [0.0, 0.0, 0.9]], np.float32)
    assert links_of(weights) == [(1, 0), (0, 2), (2, 3)]
    assert links_of(weights, 0.3) == [(1, 0), (2, 0), (0, 2), (1, 2), (2, 3)]
    assert links_of(weights, 0.95) == []
    assert links_of(np.zeros((0, 3), np.float32)) == links_of(np.zeros((2, 0), np.float32)) == []


def shifted(translator: Translator, source: str, target: str, layer: int, head: int) -> list[list[float]]:
    """The weights (target words, source words) of the steps that read each word, from the subwords."""
    [forced] = translator.score_targets([source], [target], attention="all")
    assert forced.subword_attention_heads is not None
    weights = forced.subword_attention_heads[layer - 1, head - 1]

    def words(text: str, tokenizer: Tokenizer) -> list[list[int]]:
        """The places of the tokens of each word: a token that begins with a space begins a word."""
        places: list[list[int]] = []
        for place, piece in enumerate(tokenizer.subwords(tokenizer.encode(text))):
            if piece.startswith(("▁", " ")) or not places:
                places.append([])
            if piece.strip("▁ "):  # the space alone is of no word
                places[-1].append(place)
        return places

    of_source = words(source, translator.source_tokenizer)
    return [
        [
            sum(float(weights[step + 1, place]) for step in steps for place in places) / len(steps)
            for places in of_source
        ]
        for steps in words(target, translator.target_tokenizer)
    ]


def test_links_of_the_step_that_reads_a_word_are_those_of_the_next_step() -> None:
    translator = tiny.translator(**HEADS)  # type: ignore[arg-type]
    source, target = "the small dog sleeps in the garden", "le petit chien dort dans le jardin"
    shifts = 0
    for layer, head in ((1, 1), (1, 2), (2, 1), (2, 2)):
        [links] = Direction(translator, LinkSettings(layer, head, 1)).links([source], [target])
        table = np.array(shifted(translator, source, target, layer, head), np.float32)
        assert links == links_of(table)
        assert len(table) == len(target.split())
        [written] = Direction(translator, LinkSettings(layer, head, 0)).links([source], [target])
        [result] = translator.score_targets([source], [target], attention="all")
        assert written == links_of(result.attention_heads[layer - 1, head - 1])  # type: ignore[index]
        shifts += written != links
    assert shifts > 1


def test_links_equal_those_of_translate_for_its_own_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()
    sources = [*tiny.ENGLISH[:7], "", "dog"]
    # the first token begins with a space, as the tokenizer begins each text
    outputs = translator.translate(sources, beam=3, prefixes=["le"] * len(sources))
    best = [translations[0] for translations in outputs]
    # one text has several splits into subwords, and the search may have taken another than the tokenizer
    ids = {one.text: one.tokens for one in best}
    monkeypatch.setattr(translator.target_tokenizer, "encode_batch", lambda texts: [ids[t] for t in texts])
    links = Aligner(Direction(translator)).links(sources, [one.text for one in best])
    # the tokenizer begins each text with a space, which this search may have left out
    tokenizer = translator.target_tokenizer
    same = [
        row
        for row, one in enumerate(best)
        if word_numbers(one.text, one.tokens, tokenizer) == tokenizer.word_index(one.tokens)
    ]
    assert sum(len(set(links[row] or [])) for row in same) > 5
    assert [links[row] for row in same] == [best[row].alignment() for row in same]


def test_links_do_not_depend_on_the_other_pairs() -> None:
    translator = tiny.translator()
    sources, targets = tiny.ENGLISH[:5], tiny.FRENCH[:5]
    together = Direction(translator).links(sources, targets)
    alone = [Direction(translator).links([s], [t])[0] for s, t in zip(sources, targets, strict=True)]
    assert together == alone


def test_pairs_of_a_large_block_are_forced_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = [*tiny.ENGLISH[:4], " "], [*tiny.FRENCH[:3], "", "le"]
    whole = Direction(tiny.translator()).links(sources, targets)
    calls = []
    force = Translator.score_targets

    def count(self: Translator, texts: list[str], *args: object, **words: object) -> object:
        calls.append((len(texts), words["first"]))
        return force(self, texts, *args, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "score_targets", count)
    monkeypatch.setattr("seq2attn.explaining.aligner.CELLS", 2000)
    assert Direction(tiny.translator()).links(sources, targets, first=10) == whole
    assert [size for size, _ in calls] == [1, 1, 3]
    assert [first for _, first in calls] == [10, 11, 12]
    assert whole[3] == whole[4] == []


def test_aligner_joins_both_directions() -> None:
    there, back = tiny.translator(1), tiny.translator(2)
    back = Translator(back.models[0], tiny.tokenizer("source"), tiny.tokenizer("target"), back.config)
    sources, targets = tiny.ENGLISH[:3], tiny.FRENCH[:3]
    forward, backward = Direction(there).links(sources, targets), Direction(back).links(targets, sources)
    for method in ("intersection", "union", "grow-diag-final-and"):
        links = Aligner(Direction(there), Direction(back), method).links(sources, targets)
        for one, other, both in zip(forward, backward, links, strict=True):
            assert both == symmetrise(one, {(i, j) for j, i in other}, method)


@pytest.mark.parametrize("threshold", [None, 0.25])
def test_aligner_averages_the_weights_of_both_directions(threshold: float | None) -> None:
    there, back = tiny.translator(1), tiny.translator(2)
    back = Translator(back.models[0], tiny.tokenizer("source"), tiny.tokenizer("target"), back.config)
    sources, targets = [*tiny.ENGLISH[:3], " "], [*tiny.FRENCH[:3], "le"]
    ahead = Direction(there, LinkSettings(threshold=threshold))
    links = Aligner(ahead, Direction(back), "mean").links(sources, targets)
    for number in range(3):
        [one] = there.score_targets([sources[number]], [targets[number]])
        [other] = back.score_targets([targets[number]], [sources[number]])
        assert one.attention is not None
        assert other.attention is not None
        mean = (one.attention + other.attention.T) / 2
        right = [
            (int(j), i)
            for i, row in enumerate(mean)
            for j in ([row.argmax()] if threshold is None else np.flatnonzero(row >= threshold))
        ]
        assert links[number] == right
    assert links[3] == []


def test_aligner_leaves_out_pairs_that_are_too_long() -> None:
    translator = tiny.translator()
    long = "dog " * (MAX_SOURCE + 1)
    assert Aligner(Direction(translator)).links(["dog", long, "dog"], [long, "le", "le"])[:2] == [None, None]
    assert is_too_long("dog " * 10**6, translator.source_tokenizer)
    assert not is_too_long("the dog " * 100, translator.source_tokenizer)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (LinkSettings(layer=0), "layer 0: numbers begin at 1"),
        (LinkSettings(head=-1), "head -1"),
        (LinkSettings(shift=2), "shift 2: choose 0, the step that writes"),
        (LinkSettings(threshold=0), "threshold 0: a weight is more than 0"),
        (LinkSettings(threshold=1.5), "threshold 1.5"),
    ],
)
def test_settings_of_links_are_checked(settings: LinkSettings, words: str) -> None:
    with pytest.raises(UsageError) as error:
        settings.check()
    assert words in str(error.value)


def test_pharaoh_line() -> None:
    assert pharaoh([(1, 0), (0, 2)]) == "1-0 0-2"
