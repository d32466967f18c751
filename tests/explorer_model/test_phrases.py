"""1,000 sentences of the bundled corpus: the engine translates as Python does. The model has just begun to
learn, so that many of its choices are close.
"""

import random
from pathlib import Path
from typing import Any

import javascript
import numpy as np
import pytest
import torch
from source_trees import ROOT

from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS, PAD, Tokenizer
from seq2attn.inference import Translator
from seq2attn.inference.encoding import pad
from seq2attn.models.seq2seq import build

pytestmark = [pytest.mark.slow, javascript.needs_node]
SMALL = ["model.encoder.size=32", "model.decoder.size=64", "model.embedding=64"]


def sentences(name: str, count: int) -> list[str]:
    return (ROOT / "data" / "phrases" / name).read_text(encoding="utf-8").splitlines()[:count]


def beginner() -> Translator:
    """The preset first-try with fewer units, after 300 updates."""
    texts = [sentences(f"train.{side}", 4000) for side in ("en", "fr")]
    tokenizer = Tokenizer.train([*texts[0], *texts[1]], 800)
    settings = config.load("first-try", [*SMALL, "search.max_length=40"])
    model = build(settings.model, tokenizer.size, tokenizer.size)
    sources, targets = map(tokenizer.encode_batch, texts)
    optimizer, draw = torch.optim.Adam(model.parameters(), 5e-3), random.Random(1)
    for _ in range(300):
        batch = draw.sample(range(4000), 32)
        source = pad([[*sources[i], EOS] for i in batch], PAD)
        target = pad([[BOS, *targets[i], EOS] for i in batch], PAD)
        logits = model(source, source != PAD, target[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Translator(model.eval(), tokenizer, tokenizer, settings, languages=("en", "fr"))


def test_engine_translates_1000_sentences_as_python_does(tmp_path: Path) -> None:
    translator, texts = beginner(), sentences("test.en", 1000)
    requests: list[dict[str, Any]] = [{"text": text, "beam": 1} for text in texts]
    answers = javascript.answers(translator, requests, tmp_path)
    results = [one for [one] in translator.translate(texts, beam=1, attention="all")]
    outputs = [(answer["target"]["ids"][:-1], answer["target"]["text"]) for answer in answers]
    assert outputs == [(one.tokens, one.text) for one in results]
    assert len({text for _, text in outputs}) > 500
    for answer, one in zip(answers, results, strict=True):
        np.testing.assert_allclose(answer["attention"]["weights"], one.subword_attention_heads, atol=1e-3)
