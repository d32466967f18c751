"""The memory of a CUDA device, by a stand-in for what torch says of it, and searches that have too little."""

import os
from typing import Any

import pytest
import tiny
import torch

from seq2attn.device_memory import allocate_in_segments_that_grow, decoding_tokens
from seq2attn.errors import UserError
from seq2attn.inference import Translator

NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
GIB = 1 << 30


@pytest.fixture
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "x")  # so that the end of the test restores it
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_clean")
def test_segments_grow_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    allocate_in_segments_that_grow()
    assert os.environ[NAMES[0]] == "expandable_segments:True"
    monkeypatch.setenv(NAMES[0], "max_split_size_mb:64")
    allocate_in_segments_that_grow()
    assert os.environ[NAMES[0]] == "max_split_size_mb:64"
    monkeypatch.delenv(NAMES[0])
    monkeypatch.setenv(NAMES[1], "expandable_segments:False")
    allocate_in_segments_that_grow()
    assert NAMES[0] not in os.environ


@pytest.mark.parametrize(
    ("free", "cached", "tokens"),
    [
        (15 * GIB, 0, 16384),
        (6 * GIB, 9 * GIB, 16384),
        (139 * GIB, 0, 1 << 18),
        (1 << 20, 0, 4096),
        (999 * GIB, 0, 1 << 18),
    ],
)
def test_batches_of_a_search_fit_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, cached: int, tokens: int
) -> None:
    memory: dict[str, Any] = {
        "mem_get_info": (free, 1000 * GIB),
        "memory_reserved": cached + 5,
        "memory_allocated": 5,
    }
    for name, value in memory.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert decoding_tokens(torch.device("cuda")) == tokens


def limited(translator: Translator, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Makes steps of more than `most` rows fail for want of memory. The list tells the rows of each step."""
    step, rows = translator.ensemble.step, []

    def with_limit(token_R: torch.Tensor, *arguments: Any) -> Any:
        rows.append(len(token_R))
        if len(token_R) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return step(token_R, *arguments)

    monkeypatch.setattr(translator.ensemble, "step", with_limit)
    return rows


@pytest.mark.parametrize("options", [{}, {"prefixes": ["a"] * 30, "sample": True, "n_best": 2}])
def test_search_that_has_too_little_memory_goes_on_in_halves(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    texts = [*tiny.ENGLISH, *reversed(tiny.ENGLISH)][:30]
    options = options | ({"prefixes": options["prefixes"][: len(texts)]} if options else {})
    translator = tiny.translator()
    expected = translator.translate(texts, max_length=8, batch_tokens=10_000, **options)
    rows = limited(translator, monkeypatch, 24)
    assert translator.translate(texts, max_length=8, batch_tokens=10_000, **options) == expected
    assert max(rows) > 24 >= min(rows)


def test_single_input_that_does_not_fit_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()
    limited(translator, monkeypatch, 0)
    with pytest.raises(UserError, match=r"^max_length or `beam` is too large.*CUDA out of memory\)$"):
        translator.translate(tiny.ENGLISH)


def test_given_outputs_that_do_not_fit_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()

    def fail(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(translator.ensemble, "score_targets", fail)
    with pytest.raises(UserError, match=r"^batch_tokens is 3,072, too much"):
        translator.score_targets(tiny.ENGLISH[:2], tiny.ENGLISH[:2])
