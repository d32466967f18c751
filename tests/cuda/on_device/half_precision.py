"""Search in half precision on CUDA: keys, values and caches have the type of products, and no step converts
them.
"""

from typing import Any

import pytest
import tiny
import torch

from seq2attn.inference import Translator
from seq2attn.runs.half_weights import to_half

CUDA = torch.device("cuda", 0)
LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}
SIZES = {"size": 12, "heads": 2, "feedforward": 24}
FAMILIES: dict[str, dict[str, Any]] = {
    "recurrent": {"attention": {"score": "general"}},
    "transformer": {"encoder": {"kind": "transformer", **SIZES}, "kind": "transformer", **SIZES},
}


@pytest.mark.parametrize("converts", [True, False], ids=["run", "model in training"])
@pytest.mark.parametrize("format", LOW)
@pytest.mark.parametrize("family", FAMILIES)
def test_keys_values_and_caches_are_in_half_precision(family: str, format: str, converts: bool) -> None:
    of = tiny.settings(**FAMILIES[family])
    model, low = tiny.model(of).to(CUDA), LOW[format]
    exact = Translator(model, tiny.tokenizer("source"), tiny.tokenizer("target"), of)
    want = exact.score_targets(tiny.ENGLISH[:4], tiny.FRENCH[:4], attention=False)
    if converts:
        to_half([model], low)
    half = Translator(model, tiny.tokenizer("source"), tiny.tokenizer("target"), of, precision=format)
    with half.inference_mode():
        state = half.ensemble.initial_state(half.encode([[[5, 6, 7]] * 2], [0, 0]), 1)
        for attention in (False, True):
            _, state, _ = half.ensemble.step(torch.tensor([2, 2], device=CUDA), state, attention)
    decoder, source = state.decoders[0], state.sources.parts[0]
    memories = [source.projected] if family == "recurrent" else source.memories
    for memory in memories:
        assert memory.keys.dtype == memory.values.dtype == low
    if family == "transformer":
        for cache in decoder.past.caches.parts:
            assert cache.keys.dtype == cache.values.dtype == low
    got = half.score_targets(tiny.ENGLISH[:4], tiny.FRENCH[:4], attention=False)
    assert [one.score for one in got] == pytest.approx([one.score for one in want], rel=0.1)
