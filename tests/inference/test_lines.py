"""Lines of text as they come: sentences, glossaries and items, with random models."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny

from seq2attn.data.text.glossary import Glossary, times
from seq2attn.data.text.protection import MARKERS
from seq2attn.errors import UsageError
from seq2attn.inference import reinsertion
from seq2attn.inference.lines import splits_lines
from seq2attn.inference.required import Required, phrase_of, positions_of
from seq2attn.inference.results import Translation
from seq2attn.inference.substitution import Edit, edited, ways_in

LINE = "The small dog sleeps. Where is the cat? She sings"
SENTENCES = ["The small dog sleeps.", "Where is the cat?", "She sings"]


def test_line_is_the_translations_of_its_sentences() -> None:
    translator = tiny.translator()
    parts = [one for one, *_ in translator.translate(SENTENCES)]
    [[whole], [blank], [single]] = translator.translate_lines([LINE, "", SENTENCES[0]], sentences="split")
    assert whole.text == " ".join(one.text for one in parts)
    assert (blank.text, single.text) == ("", parts[0].text)
    assert whole.source_words == LINE.split()
    assert whole.log_probability == pytest.approx(sum(one.log_probability for one in parts))
    assert whole.sentences == tuple(parts)
    assert whole.attention is not None
    rows = columns = 0
    for one in parts:
        assert one.attention is not None
        block = one.attention.shape
        own = whole.attention[rows : rows + block[0]]
        np.testing.assert_array_equal(own[:, columns : columns + block[1]], one.attention)
        assert own.sum() == pytest.approx(one.attention.sum())  # nothing elsewhere
        rows, columns = rows + block[0], columns + block[1]
    assert whole.attention.shape == (rows, columns)
    assert whole.subword_attention is not None
    sizes = len(whole.target_subwords) + 1, len(whole.source_subwords) + 1
    assert whole.subword_attention.shape == sizes
    np.testing.assert_allclose(whole.subword_attention.sum(1), 1, atol=1e-5)


def test_line_stays_whole_unless_training_had_single_sentences() -> None:
    translator = tiny.translator()
    [[whole]] = translator.translate_lines([LINE])
    assert whole.text == translator.translate([LINE])[0][0].text
    translator.source_lengths = {"several sentences": 0.01}
    assert len(translator.translate_lines([LINE])[0][0].sentences) == 3
    assert not translator.translate_lines([LINE], prefixes=["le"])[0][0].sentences
    assert not translator.translate_lines([LINE], sentences="whole")[0][0].sentences
    assert splits_lines({"several sentences": 0.02}) is False
    assert splits_lines(None) is False
    with pytest.raises(UsageError, match="sentences 'two'"):
        translator.translate_lines([LINE], sentences="two")  # type: ignore[arg-type]


def test_sample_of_a_line_does_not_depend_on_the_lines_before_it() -> None:
    translator = tiny.translator(sharpness=0.5)
    options = {"sentences": "split", "sample": True, "seed": 3}
    both = translator.translate_lines([LINE, LINE], **options)  # type: ignore[arg-type]
    alone = translator.translate_lines([LINE], first=1, **options)  # type: ignore[arg-type]
    assert both[1][0].text == alone[0][0].text
    assert both[0][0].text != both[1][0].text


def test_glossary_terms_are_in_the_output() -> None:
    translator = tiny.translator()
    glossary = {"dog": "chat", "garden": "la gare", "rain": "livres"}
    texts = ["the small dog sleeps in the garden", "rain falls over hills", "she sings"]
    plain = translator.translate(texts)
    outputs = translator.translate_lines(texts, glossary=glossary)
    terms = Glossary(glossary)
    for text, (best,) in zip(texts, outputs, strict=True):
        for term in terms.find(text):
            assert times(term.target, best.text)
        assert best.attention is not None
        assert best.attention.shape == (len(best.target_words), len(best.source_words))
    assert outputs[2][0].text == plain[2][0].text
    bare = translator.translate_lines(texts, glossary=glossary, attention=False)
    assert [best.text for best, *_ in bare] == [best.text for best, *_ in outputs]
    assert bare[0][0].attention is None
    several = translator.translate_lines(texts[:1], glossary=glossary, beam=4, n_best=3)[0]
    assert all(times("chat", one.text) and times("la gare", one.text) for one in several)


def test_glossary_refuses_what_has_no_certain_output() -> None:
    translator = tiny.translator()
    for options, other in (({"sample": True}, "sample"), ({"confidence": "features"}, "confidence")):
        with pytest.raises(UsageError, match=f"glossary and `{other}`"):
            translator.translate_lines(["a dog"], glossary={"dog": "chat"}, **options)  # type: ignore[arg-type]


def test_required_text_is_written_by_the_search() -> None:
    translator = tiny.translator()
    [[best]] = translator.translate(["rain falls"], required=[[Required("petit chien"), Required("gare")]])
    assert times("petit chien", best.text)
    assert times("gare", best.text)
    with pytest.raises(UsageError, match="lists of what is required"):
        translator.translate(["rain falls"], required=[])
    with pytest.raises(UsageError, match="sample draws"):
        translator.translate(["rain falls"], required=[[Required("gare")]], sample=True)


def test_positions_are_those_of_the_characters() -> None:
    tokenizer, text = tiny.tokenizer(), "the small dog sleeps"
    ids = tokenizer.encode(text)
    for word in text.split():
        start = text.index(word)
        positions = positions_of(text, ids, tokenizer, start, start + len(word))
        assert tokenizer.decode([ids[place] for place in positions]).strip() == word
    phrase = phrase_of(Required("chien", 10, 13), (tiny.tokenizer("target"), tokenizer), True, text, ids)
    assert phrase.positions == positions_of(text, ids, tokenizer, 10, 13)
    assert [way.where for way in phrase.ways][:1] == ["anywhere"]


def hand_made(source: str, target: str, links: list[tuple[int, int]]) -> Translation:
    """A translation whose word `t` reads word `s` alone, for each link (t, s)."""
    words = target.split(), source.split()
    weights = np.zeros((len(words[0]), len(words[1])), np.float32)
    for t, s in links:
        weights[t, s] = 1
    return Translation(
        source, target, 0.0, 0.0, source_words=words[1], target_words=words[0], attention=weights
    )


A, B = MARKERS[:2]


@pytest.mark.parametrize(
    ("source", "plain", "target", "links", "expected"),
    [
        (
            f"the {A}red{B} dog",
            "the red dog",
            "le chien rouge",
            [(0, 0), (1, 2), (2, 1)],
            f"le chien {A}rouge{B}",
        ),
        (f"see {A}.", "see.", "voyez.", [(0, 0)], f"voyez {A}."),
        (f"{A} red dogs {B}", "red dogs", "chiens rouges", [(0, 1), (1, 0)], f"{A} chiens rouges {B}"),
        (f"dear {A}, come", "dear, come", "viens, cher", [(0, 1), (1, 0)], f"viens, cher {A}"),
        (f"red {A} dogs", "red dogs", "chiens rouges", [(0, 1), (1, 0)], f"{A} chiens rouges"),
        (f"{A}{B}", "", "", [], f"{A} {B}"),
    ],
)
def test_markers_go_where_the_words_beside_them_are(
    source: str, plain: str, target: str, links: list[tuple[int, int]], expected: str
) -> None:
    text, gaps = reinsertion.take_out(source)
    assert text == plain
    result = reinsertion.put_in(hand_made(plain, target, links), gaps, source)
    assert result.text == expected
    assert (result.source_words, result.target_words) == (source.split(), expected.split())
    assert result.attention is not None
    assert result.attention.shape == (len(expected.split()), len(source.split()))


def test_items_come_out_whole_with_any_model() -> None:
    translator = tiny.translator()
    lines = ["the {name} dog sees https://a.org/b?c.", "<b>rain</b> falls 10:30", "{x}", "{a} {b}"]
    for line, (best,) in zip(lines, translator.translate_lines(lines, protect=True), strict=True):
        items = [
            word
            for word in ("{name}", "https://a.org/b?c", "<b>", "</b>", "10:30", "{x}", "{a}")
            if word in line
        ]
        assert Counter({word: best.text.count(word) for word in items}) == Counter(dict.fromkeys(items, 1))
        assert best.source == line


def test_protect_refuses_a_run_without_markers_and_attention() -> None:
    translator = tiny.translator(context_source="summary", query_state="current", context_to=["input"])
    with pytest.raises(UsageError, match="no attention"):
        translator.translate_lines(["a {b}"], protect=True)


def test_edits_overlap_not() -> None:
    translator = tiny.translator()
    [[best]] = translator.translate(["the small dog sleeps"])
    ways = ways_in(
        *(
            best,
            [Required("x", 10, 13), Required("y", 0, 3)],
            translator.source_tokenizer.encode(best.source),
        ),
        (translator.target_tokenizer, translator.source_tokenizer),
    )
    assert len(ways) == 2
    assert all(0 <= one.start < one.stop <= len(best.text) for own in ways for one in own)
    assert edited("abc def", [Edit(0, 3, "x"), Edit(4, 7, "y")]) == "x y"
    assert edited("abc def", [Edit(0, 5, "x"), Edit(4, 7, "y")]) == "abc y"


def test_unread_words_have_little_weight() -> None:
    one = hand_made("a dog , sleeps", "un chien", [(0, 0), (1, 1)])
    assert one.unread() == [3]  # not the comma
    with pytest.raises(UsageError, match="no"):
        replace(one, attention=None).unread()
