"""Words as drawings show them: punctuation apart, weights neither lost nor mixed, and the subwords that a
file has are enough to know it."""

import numpy as np
import pytest
import tiny

from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference import Translator
from seq2attn.plotting import words
from seq2attn.plotting.alignment import END, Alignment, count_line, hardly_read, mean
from seq2attn.plotting.punctuation import split_punctuation

SPLIT = {
    "anglais.": ["anglais", "."],
    "aujourd'hui,": ["aujourd'hui", ","],
    "l'homme": ["l'homme"],
    "don’t": ["don’t"],
    "dogs'": ["dogs", "'"],
    "'tis": ["'", "tis"],
    "U.S.": ["U.S."],
    "(U.S.),": ["(", "U.S.", ")", ","],
    "Mr.": ["Mr", "."],
    "3,14": ["3,14"],
    "1.234,5.": ["1.234,5", "."],
    "-5": ["-5"],
    "12:30": ["12:30"],
    "yes:no": ["yes", ":", "no"],
    "e-mail": ["e-mail"],
    "https://example.com/a?b=1.": ["https://example.com/a?b=1", "."],
    "<me@example.com>,": ["<", "me@example.com", ">", ","],
    "«anglais»": ["«", "anglais", "»"],
    "“Yes,”": ["“", "Yes", ",", "”"],
    "¿Qué": ["¿", "Qué"],
    "¡Hola!": ["¡", "Hola", "!"],
    "wait...what": ["wait", "...", "what"],
    "now—then": ["now", "—", "then"],
    "?!": ["?", "!"],
    "...": ["..."],
    "他昨天去了北京。": ["他昨天去了北京", "。"],
    "早上，他": ["早上", "，", "他"],
    "هل؟": ["هل", "؟"],
    "نعم،": ["نعم", "،"],
    "है।": ["है", "।"],
    "สวัสดี": ["สวัสดี"],
    "dog🐶!": ["dog", "🐶", "!"],
    "👩\u200d👩\u200d👧": ["👩\u200d👩\u200d👧"],
    "❤\ufe0f": ["❤\ufe0f"],
    "e\u0301te\u0301.": ["e\u0301te\u0301", "."],
    "C++": ["C++"],
    "90%": ["90", "%"],
    "": [],
}


@pytest.mark.parametrize("word", SPLIT)
def test_split_punctuation_splits_only_outer_punctuation(word: str) -> None:
    assert split_punctuation(word) == SPLIT[word]


def test_between_separates_a_full_stop_from_its_word() -> None:
    """The full stop is a subword of its own, with other weights."""
    weights = np.array([[0.0, 1, 0, 0], [0, 0.9, 0, 0.1], [0, 0, 0.3, 0.7], [0, 0, 0, 1]])
    alignment = words.between(
        ["the", "cat."], ["▁the", "▁cat", "."], ["chats."], ["▁chat", "s", "."], weights
    )
    assert alignment is not None
    assert alignment.source_words == ["the", "cat", ".", END]
    assert alignment.target_words == ["chats", ".", END]
    np.testing.assert_allclose(alignment.attention, [[0, 0.95, 0, 0.05], [0, 0, 0.3, 0.7], [0, 0, 0, 1]])


def test_between_adds_the_end_if_rows_put_weight_there() -> None:
    weights = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    alignment = words.between(["a", "b"], ["▁a", "▁b"], ["u", "v"], ["▁u", "▁v"], weights)
    assert alignment is not None
    assert (alignment.source_words, alignment.target_words, alignment.ends) == (["a", "b"], ["u", "v"], False)
    weights[0, :] = 0.5, 0, 0.5
    alignment = words.between(["a", "b"], ["▁a", "▁b"], ["u", "v"], ["▁u", "▁v"], weights)
    assert alignment is not None
    assert (alignment.source_words, alignment.target_words, alignment.ends) == (
        ["a", "b", END],
        ["u", "v", END],
        True,
    )


def test_side_never_divides_a_subword() -> None:
    """A subword of letters and punctuation, or of two words, stays whole."""
    for pieces, tokens in (
        (["▁cat", "s."], ["cats."]),
        (["▁cats", "."], ["cats", "."]),
        (["▁cats."], ["cats."]),
    ):
        side_of = words.side(["cats."], pieces)
        assert side_of is not None
        assert side_of.tokens == tokens
    side_of = words.side(["of", "the", "cat"], ["▁of▁the", "▁cat"])
    assert side_of is not None
    assert (side_of.tokens, side_of.token_of, side_of.words) == (["of the", "cat"], [0, 1], [0, 2])


TEXTS = [
    "my friends' books are on the table!",
    "rain  falls, 北京 over.  ",
    "Rain\u00a0falls ▁ a▁b.",
    "the 北京 北 dog 北x京y z.",
    "İstanbul ΟΔΟΣ e\u0301te\u0301 ﬁn",
    "👩\u200d👩\u200d👧 dog🐶 «ok» ¿no? don't U.S.",
    "他昨天去了北京。 هل؟ है।",
    "<unk> </s> <pad>",
    "x",
]


@pytest.mark.parametrize("kind", ["word", "char", "bpe", "unigram"])
@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_side_covers_any_text_of_any_tokenizer(kind: str, lowercase: bool, text: str) -> None:
    """Every character of the text stands in one token, and every subword belongs to one."""
    tokenizer = _tokenizer(kind, lowercase)
    pieces = tokenizer.subwords(tokenizer.encode(text))
    side_of = words.side(text.split(), pieces, whole=True)
    assert side_of is not None
    expected = [words.normalise(word) for word in text.split()]
    assert "".join("".join(side_of.tokens).split()) == "".join(expected)
    assert len(side_of.token_of) == len(pieces)
    assert set(side_of.token_of) == set(range(len(side_of.tokens)))  # a row each
    assert side_of.token_of == sorted(side_of.token_of)
    if kind == "char" and text == TEXTS[0]:
        assert side_of.tokens == ["my", "friends", "'", "books", "are", "on", "the", "table", "!"]
    weights = np.random.default_rng(1).dirichlet(np.ones(len(pieces) + 1), len(pieces) + 1)
    alignment = words.between(text.split(), pieces, text.split(), pieces, weights)
    assert alignment is not None
    np.testing.assert_allclose(alignment.attention.sum(1), 1, atol=1e-9)


def _tokenizer(kind: str, lowercase: bool) -> Tokenizer:
    return Tokenizer.train(tiny.ENGLISH, 60, kind, lowercase)


def test_side_of_a_text_without_subwords_is_none() -> None:
    assert words.side(["▁"], [], whole=True) is None
    assert words.side(["▁"], ["▁"]) is None


def test_side_keeps_words_without_subwords() -> None:
    side_of = words.side(["one", "two", "three."], ["▁one", "▁tw"])
    assert side_of is not None
    assert (side_of.tokens, side_of.token_of) == (["one", "two", "three", "."], [0, 1])


def test_side_and_between_refuse_subwords_of_another_text() -> None:
    assert words.side(["a", "cat"], ["▁a", "▁dog"]) is None
    assert words.side(["cat"], ["▁cat", "▁dog"]) is None
    assert words.side([], ["▁"]) is None
    assert words.between(["a"], ["▁a"], ["u"], ["▁u"], np.ones((1, 1))) is None


@pytest.mark.parametrize("window", ["global", "local-m"])
def test_of_translation_conserves_weights_and_matches_words_to_letters(window: str) -> None:
    settings = {} if window == "global" else {"window": window, "half_width": 1, "normaliser": "hard-topk"}
    translator = _translator(settings)
    for source, target in (
        ("my friends' books are on the table!", "Les livres, de mes amis."),
        ("rain", "où est la ville ?"),
    ):
        side_of = translator.score_targets([source], [target])[0]
        alignment = words.of_translation(side_of)
        side = words.side(side_of.target_words, side_of.target_subwords, whole=True)
        reads = words.side(side_of.source_words, side_of.source_subwords)
        assert alignment is not None
        assert side is not None
        assert reads is not None
        assert side_of.subword_attention is not None
        weights = side_of.subword_attention
        for token in range(len(side.tokens)):
            own = [piece for piece, its in enumerate(side.token_of) if its == token]
            best = max(side.ranks[piece] for piece in own)
            row = weights[[piece for piece in own if side.ranks[piece] == best]].mean(0)
            sums = np.zeros(len(reads.tokens) + 1)
            np.add.at(sums, [*reads.token_of, len(reads.tokens)], row)
            np.testing.assert_allclose(
                alignment.attention[token], sums[: alignment.attention.shape[1]], atol=1e-6
            )
        assert alignment.attention.sum(1) == pytest.approx([1.0] * len(alignment.target_words), abs=1e-6)


def _translator(attention: dict[str, object]) -> Translator:
    settings = tiny.settings(attention=attention)
    return Translator(tiny.model(settings), tiny.tokenizer("source"), tiny.tokenizer("target"), settings)


def test_hardly_read_counts_weakly_attended_words() -> None:
    weights = np.array([[0.9, 0.05, 0.0, 0.0, 0.05], [0.85, 0.1, 0.0, 0.0, 0.05], [0.0, 0.9, 0.05, 0, 0.05]])
    alignment = Alignment(["cats", "do", "eat", ".", END], ["chats", ".", END], weights, ends=True)
    assert hardly_read(alignment) == [1, 2]  # the row of the end does not count, and a stop is no word
    assert (
        count_line(alignment)
        == "2 of 3 source words were hardly read: weights that add up to less than 0.2 (do eat)"
    )
    assert count_line(alignment._replace(attention=np.ones((3, 5)))) == ""
    of_one = count_line(alignment._replace(title="layer 1, head 3"), name_words=False)
    assert (
        of_one
        == "2 of 3 source words were hardly read by layer 1, head 3: weights that add up to less than 0.2"
    )
    assert hardly_read(alignment._replace(subwords=True)) == []
    assert count_line(Alignment(["cat"], ["a"], np.zeros((1, 1)))).startswith(
        "the source word was hardly read"
    )


def test_hardly_read_of_the_mean_is_over_all_heads() -> None:
    heads = [Alignment(["a", "b"], ["u"], np.array([row]), title="head") for row in ([1.0, 0.0], [0.0, 1.0])]
    assert hardly_read(heads[0]) == [1]
    assert hardly_read(mean(heads)) == []
    assert mean(heads).title == ""


def test_of_caption_has_rows_for_words_and_punctuation() -> None:
    weights = np.arange(12.0).reshape(4, 3)
    side_of = words.of_caption(["a", "dog."], ["▁a", "▁dog", "."], weights)
    assert side_of is not None
    assert (side_of.tokens, side_of.of_words) == (["a", "dog", "."], [0, 1])
    np.testing.assert_allclose(side_of.weights, weights[:3])
    side_of = words.of_caption(["«a»", "dog"], ["▁«", "a", "»", "▁dog"], np.ones((5, 3)))
    assert side_of is not None
    assert (side_of.tokens, side_of.of_words) == (["«", "a", "»", "dog"], [1, 3])
    side_of = words.of_caption(["a", "dog"], ["▁a▁dog"], np.ones((2, 3)))
    assert side_of is not None
    assert (side_of.tokens, side_of.of_words) == (["a dog"], [0, 0])
