"""Tokenizers: what goes in comes out, ids stay what they were, and what cannot be is said."""

import functools
import math
import pickle
import unicodedata
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data import tokenizer as module
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer, VocabularyTooLarge
from seq2attn.errors import UserError

TEXTS = [
    "the small dog sleeps",
    "a  big cat , two  spaces",
    "<s> </s> <unk> <pad> written out",
    "ça va à l'école",
    "line\u2028separator and\x0btab\t",
    "▁ low line ▁",
    "你好 世界",
    "🙂 e\u0301 é",
    "مرحبا",
] * 3
KINDS = {"unigram": 56, "bpe": 90, "char": 500, "word": 500}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(TEXTS, KINDS[request.param], request.param)


ALPHABET = sorted(set(unicodedata.normalize("NFC", "".join(TEXTS))))


@pytest.mark.parametrize("text", [*dict.fromkeys(TEXTS), "", " ", "   ", " a ", "a  ", "\t"])
def test_decode_is_exact_for_known_characters(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    if UNK not in ids:
        assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
    elif tokenizer.kind != "word":
        pytest.fail(f"unknown tokens in {tokenizer.subwords(ids)}")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=st.text(alphabet=ALPHABET, max_size=40))
@pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
def test_decode_inverts_encode_for_known_characters(kind: str, text: str) -> None:
    tokenizer = _trained(kind)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
    assert not {PAD, UNK, BOS, EOS} & set(ids)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=st.text(alphabet=st.one_of(st.sampled_from([*ALPHABET, " "]), st.characters()), max_size=40))
@pytest.mark.parametrize("kind", list(KINDS))
def test_word_index_counts_as_split_does(kind: str, text: str) -> None:
    tokenizer = _trained(kind)
    ids = [BOS, *tokenizer.encode(text), EOS, PAD]
    words = tokenizer.decode(ids).split()
    index = tokenizer.word_index(ids)
    assert len(index) == len(ids)
    assert {i for i in index if i >= 0} <= set(range(len(words)))
    surfaces = [tokenizer._surfaces[i] for i in ids]
    for surface, number in zip(surfaces, index, strict=True):
        first = surface.split()[:1]
        assert (number == -1) == (not first)
        if first:
            assert first[0].replace(module.STAND_IN, "▁") in words[number]


def _trained(kind: str, cache: dict[str, Tokenizer] = {}) -> Tokenizer:  # noqa: B006 (one training for all examples)
    if kind not in cache:
        cache[kind] = Tokenizer.train(TEXTS, KINDS[kind], kind)
    return cache[kind]


def test_word_index_by_hand() -> None:
    tokenizer = _trained("word")
    assert tokenizer.word_index(tokenizer.encode("the unheard of  dog")) == [0, 1, 2, -1, 3]
    assert tokenizer.decode(tokenizer.encode("the unheard of dog")) == "the ⁇ ⁇ dog"
    tokenizer = _trained("char")
    assert tokenizer.word_index([BOS, *tokenizer.encode("le chat"), EOS]) == [
        -1,
        -1,
        0,
        0,
        -1,
        1,
        1,
        1,
        1,
        -1,
    ]


def test_encode_reads_special_names_as_text_and_decode_drops_specials(tokenizer: Tokenizer) -> None:
    for special in ("<s>", "</s>", "<pad>", "<unk>"):
        assert not {PAD, BOS, EOS} & set(tokenizer.encode(f"a {special} b{special}"))
    ids = tokenizer.encode("the small dog sleeps")
    assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == "the small dog sleeps"
    assert tokenizer.subwords([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]


def test_encode_batch_equals_encode(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_batch(TEXTS) == [tokenizer.encode(text) for text in TEXTS]


def test_encode_normalises_to_nfc_and_lower_case() -> None:
    tokenizer = Tokenizer.train(["Été ÉTÉ"] * 3, 100, "char", lowercase=True)
    assert tokenizer.encode("E\u0301TE\u0301") == tokenizer.encode("été")
    assert tokenizer.decode(tokenizer.encode("ÉtÉ")) == "été"


def test_encode_accepts_any_text(tokenizer: Tokenizer) -> None:
    for text in ("\ud800 half a pair", "\0", "a\nb", "\uffff", "x" * 50_000, "\u202eright to left"):
        assert isinstance(tokenizer.decode(tokenizer.encode(text)), str)


def test_save_and_load_give_an_equal_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "source.model"
    tokenizer.save(path)
    again = Tokenizer.load(path)
    assert (again.size, again.kind, again.lowercase) == (tokenizer.size, tokenizer.kind, tokenizer.lowercase)
    assert again.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)
    assert [file.name for file in tmp_path.iterdir()] == ["source.model"]
    assert sentencepiece.SentencePieceProcessor(model_file=str(path)).get_piece_size() == tokenizer.size
    assert pickle.loads(pickle.dumps(tokenizer)).encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def test_load_refuses_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "source.model"
    _trained("unigram").save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (
        b"",
        b"text",
        whole[:-1],
        whole[:middle],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"source\.model: .*damaged"):
            Tokenizer.load(path)
    with pytest.raises(UserError, match="No such file"):
        Tokenizer.load(tmp_path / "none.model")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_train_names_the_largest_vocab_size(kind: str) -> None:
    with pytest.raises(
        VocabularyTooLarge, match=r"vocabulary of 10000: the largest possible is \d+ "
    ) as caught:
        Tokenizer.train(TEXTS, 10_000, kind)
    assert Tokenizer.train(TEXTS, caught.value.largest, kind).size == caught.value.largest


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_train_names_the_smallest_vocab_size(kind: str) -> None:
    with pytest.raises(
        UserError, match=r"vocabulary of 10 is too small .* `vocab_size` to (\d+) or more"
    ) as caught:
        Tokenizer.train(TEXTS, 10, kind)
    smallest = int(str(caught.value).split("`vocab_size` to ")[1].split()[0])
    assert Tokenizer.train(TEXTS, smallest, kind).size == smallest


def test_train_omits_rare_characters_only_if_necessary() -> None:
    rare = [chr(0x4E00 + i) for i in range(150)]
    texts = ["the small dog sleeps in the tall grass"] * 10_000 + rare
    assert UNK not in Tokenizer.train(texts, 180, "bpe").encode("".join(rare))
    small = Tokenizer.train(texts, 30, "bpe")
    assert small.size == 30
    assert UNK in small.encode("".join(rare))
    assert UNK not in small.encode("dogs that sleep")


def test_train_is_a_function_of_texts_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 6)
    models = [Tokenizer.train(iter(TEXTS), 40, "char", seed=seed).model for seed in (1, 1, 2)]
    assert models[0] == models[1]
    assert models[0] != models[2]


def test_train_refuses_empty_texts() -> None:
    with pytest.raises(UserError, match="no text"):
        Tokenizer.train(["", "  "], 10)


@pytest.mark.parametrize("text", ["the dog", "a", "", "dog zzQ dog", "the\u2581dog"])
def test_description_length_is_that_of_the_shortest_way_to_write_it(text: str) -> None:
    """Unigram: all ways to cut the text into subwords are tried. Its unknown characters cost a fixed sum."""
    tokenizer = Tokenizer.train(TEXTS, KINDS["unigram"], "unigram")
    model = tokenizer._processor
    price = {model.id_to_piece(i): -model.get_score(i) for i in range(4, tokenizer.size)}
    rare = math.log(tokenizer.size) + module.UNKNOWN_NATS
    written = module.SPACE + text.replace(module.SPACE, module.STAND_IN).replace(" ", module.SPACE)

    @functools.cache
    def least(rest: str) -> float:
        if not rest:
            return 0.0
        ways = [price[rest[:n]] + least(rest[n:]) for n in range(1, len(rest) + 1) if rest[:n] in price]
        return min(ways) if ways else rare + least(rest[1:])

    assert tokenizer.description_length(text) == pytest.approx(least(written) if text else 0.0, rel=1e-5)


def test_description_length_of_other_vocabularies_counts_subwords() -> None:
    tokenizer = Tokenizer.train(TEXTS, KINDS["bpe"], "bpe")
    assert tokenizer.description_length("the dog") == len(tokenizer.encode("the dog")) * math.log(
        tokenizer.size
    )
