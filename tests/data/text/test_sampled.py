"""Subwords drawn anew in each epoch: their distribution against the reference, and which draw a row gets."""

from collections import Counter

import numpy as np
import pytest
import tiny
from reference.subwords import bpe_cuts, unigram_cuts

import seq2attn
from seq2attn.config import TrainConfig
from seq2attn.data import sampled_ids
from seq2attn.data.prepared import Prepared
from seq2attn.data.sampled_ids import SampledIds
from seq2attn.data.text.sampled import SampledTexts
from seq2attn.data.tokenizer import SPECIALS, Tokenizer
from seq2attn.tasks.training_data import subword_sampler

DRAWS = 20_000
SIZES = {"bpe": 90, "unigram": 64}
REFERENCE = {"bpe": bpe_cuts, "unigram": unigram_cuts}


def scores_of(tokenizer: Tokenizer) -> dict[str, float]:
    every = zip(tokenizer.vocabulary, tokenizer.scores, strict=True)
    return {piece: score for piece, score in list(every)[len(SPECIALS) :]}


@pytest.mark.parametrize("amount", [0.1, 0.5])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_draws_have_the_distribution_of_the_reference(kind: str, amount: float) -> None:
    tokenizer = tiny.tokenizer(kind=kind, size=SIZES[kind])
    text = "sees"
    want = REFERENCE[kind](f"▁{text}", scores_of(tokenizer), amount)
    counts = Counter(
        tuple(tokenizer.vocabulary[i] for i in ids) for ids in tokenizer.sample([text] * DRAWS, amount, 1)
    )
    assert set(counts) <= set(want)
    assert len(counts) > 2
    for cut, probability in want.items():
        spread = (probability * (1 - probability) / DRAWS) ** 0.5
        assert abs(counts[cut] / DRAWS - probability) < 5 * spread + 1e-4, cut


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_draws_are_a_function_of_the_seed_and_decode_to_the_text(kind: str) -> None:
    tokenizer = tiny.tokenizer(kind=kind, size=SIZES[kind])
    texts = [*tiny.ENGLISH, "", "a ▁ mark", "Äpfel"]
    first, again, other = (tokenizer.sample(texts, 0.3, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    whole = tokenizer.encode_batch(texts)
    assert [tokenizer.decode(ids) for ids in first] == [tokenizer.decode(ids) for ids in whole]
    assert sum(map(len, first)) > sum(map(len, whole))


def test_bpe_without_dropout_and_unigram_with_a_large_exponent_are_the_usual_cut() -> None:
    assert tiny.tokenizer().sample(tiny.ENGLISH, 0.0, 1) == tiny.tokenizer().encode_batch(tiny.ENGLISH)
    unigram = tiny.tokenizer(kind="unigram", size=64)
    assert unigram.sample(tiny.ENGLISH, 100.0, 1) == unigram.encode_batch(tiny.ENGLISH)


def test_other_tokenizers_cannot_sample() -> None:
    with pytest.raises(ValueError, match="a char tokenizer has one way to cut a text"):
        tiny.tokenizer(kind="char", size=40).sample(["a"], 0.1, 1)


def test_ids_are_those_of_their_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_ids, "BLOCK", 2)
    calls = []

    def sampler(texts: list[str], seed: int) -> list[list[int]]:
        calls.append(seed)
        return [[int(text)] * int(text) for text in texts]

    ids = SampledIds(sampler, lambda start, stop: list(map(str, range(start, stop))), 5, (1, 2, 0))
    assert ids.lengths.tolist() == [0, 1, 2, 3, 4]
    assert [row.tolist() for row in ids.take(np.array([3, 0, 2]))] == [[3, 3, 3], [], [2, 2]]
    assert [row.tolist() for row in ids.all()] == [[], [1], [2, 2], [3, 3, 3], [4] * 4]
    assert len(set(calls)) == 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    path = tmp_path_factory.mktemp("corpus")
    for split in ("train", "valid"):
        (path / f"{split}.en").write_text("\n".join(tiny.ENGLISH) + "\n")
        (path / f"{split}.fr").write_text("\n".join(tiny.FRENCH) + "\n")
    options = {"source": "en", "target": "fr", "vocab_size": 90, "tokenizer": "bpe", "keep": ("all",)}
    return seq2attn.prepare(path, path / "out", joint=False, **options)  # type: ignore[arg-type]


def sampled(folder: Prepared) -> SampledTexts:
    settings = TrainConfig(subword_dropout=0.3)
    tokenizers = folder.source_tokenizer, folder.target_tokenizer
    source, target = (subword_sampler(one, settings) for one in tokenizers)
    assert source is not None
    assert target is not None
    return SampledTexts(folder.split("train"), source, target)


def rows_of(pairs: SampledTexts, seed: int, epoch: int) -> list[tuple[list[int], list[int]]]:
    own = pairs.of_epoch(seed, epoch)
    every = np.arange(len(own.target_lengths))
    batch = own.batch(every, None)
    sources = zip(batch.source.tolist(), own.source_lengths.tolist(), strict=True)
    targets = zip(batch.targets_BT.tolist(), own.target_lengths.tolist(), strict=True)
    return [(s[:n], t[:m]) for (s, n), (t, m) in zip(sources, targets, strict=True)]


def test_each_epoch_and_seed_has_its_own_cuts_of_the_same_texts(folder: Prepared) -> None:
    pairs = sampled(folder)
    epochs = {key: rows_of(pairs, *key) for key in ((1, 0), (1, 1), (2, 0))}
    assert len({str(rows) for rows in epochs.values()}) == 3
    assert rows_of(sampled(folder), 1, 1) == epochs[1, 1]  # as another process, or a resumed one, draws it
    assert rows_of(pairs, 1, 0) == epochs[1, 0]
    sources, targets = folder.split("train").texts()
    for rows in epochs.values():
        assert [folder.source_tokenizer.decode(source) for source, _ in rows] == sources
        assert [folder.target_tokenizer.decode(target) for _, target in rows] == targets


def test_batches_are_planned_by_the_lengths_of_the_epoch(folder: Prepared) -> None:
    own = sampled(folder).of_epoch(1, 0)
    assert own.source_lengths.sum() > folder.split("train").source_lengths.sum()
    for rows in own.plan(120, 1, 0):
        longest = max(own.source_lengths[rows].max(), own.target_lengths[rows].max()) + 1
        assert len(rows) * longest <= 120 or len(rows) == 1
    plan = sampled(folder).plan(120, 1, 0)
    assert [rows.tolist() for rows in plan] == [rows.tolist() for rows in own.plan(120, 1, 0)]


def test_update_counts_the_tokens_that_were_drawn(folder: Prepared) -> None:
    import toy

    from seq2attn.training.microbatches import update_batches

    settings = TrainConfig(subword_dropout=0.3, batch_tokens=150, accumulate=3)
    updates = update_batches(sampled(folder), settings, toy.ALONE, 0, 0)
    epochs = set()
    for _ in range(8):
        update = next(updates)
        assert update.tokens == sum(len(batch.targets_M) for _, batch in update.batches)
        epochs.add(update.epoch)
    assert len(epochs) > 1  # an update reached into the next epoch
