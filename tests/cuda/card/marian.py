"""MarianMTModel of transformers, of the size of our Transformers: training in the loop that one writes first,
and `generate`. The same pairs and batches as in `speed` and `decoding`.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.config import Config
from seq2attn.data.batches import Pairs
from seq2attn.data.tokenizer import EOS, PAD
from seq2attn.devices import autocast, find_format

from .decoding import BEAMS, COUNT, LENGTH, sentences_a_second
from .session import Row, Session
from .speed import random_pairs, speed_settings, vocabulary_of

PRESETS = ("transformer", "vaswani17-paper")
SECONDS = 10.0  # of one training
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def measure(session: Session) -> Iterator[Row]:
    if importlib.util.find_spec("transformers") is None:
        yield Row("not measured", "transformers is not installed")
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    for preset in session.while_time(PRESETS):
        settings = speed_settings(preset, [], session)
        vocabulary = vocabulary_of(settings, session)
        model = marian(settings, vocabulary).to(session.device)
        session.forget_peak()
        tokens, seconds = train(model, settings, random_pairs(2000, vocabulary), session)
        speed = tokens / seconds
        value = f"{speed:,.0f} tokens/s, {session.peak_gigabytes():.1f} GB"
        yield Row(f"{preset}, training", value, None, {"tokens/s": speed})
        for beam in BEAMS:
            speed = generate(model, vocabulary, beam, session)
            name = "greedy" if beam == 1 else f"beam {beam}"
            value = f"{speed:,.0f} sentences/s"
            yield Row(f"{preset}, {name}", value, None, {"sentences/s": speed})


def marian(settings: Config, vocabulary: int) -> Any:
    from transformers import MarianConfig, MarianMTModel

    sys.path.append(str(BENCHMARKS))
    from peers import marian_facts

    torch.manual_seed(1)
    facts = marian_facts(settings.model, vocabulary, vocabulary)
    return MarianMTModel(MarianConfig(**facts))


def train(model: Any, settings: Config, data: Pairs, session: Session) -> tuple[int, float]:
    """Target tokens and seconds after the first ten updates."""
    train, device = settings.train, session.device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    scaler = torch.amp.GradScaler(device.type, enabled=find_format("auto", device) == "fp16")
    model.train()
    seconds, warm_up = (0.5, 1) if session.quick else (SECONDS, 10)
    tokens, done, start = 0, 0, time.monotonic()
    while True:
        for rows in data.plan(train.batch_tokens, 1, done):
            batch = data.batch(rows, None)
            source, inputs, targets = (
                tensor.to(device) for tensor in (batch.source, batch.inputs_BT, batch.targets_BT)
            )
            with autocast(device, find_format("auto", device)):
                mask = (source != PAD).long()
                logits = model(source, attention_mask=mask, decoder_input_ids=inputs, use_cache=False).logits
                flat = logits.flatten(0, 1).float()
                loss = F.cross_entropy(flat, targets.flatten(), ignore_index=PAD, label_smoothing=0.1)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            done += 1
            tokens += int(batch.target_mask_BT.sum())
            session.synchronize()
            if done == warm_up:
                tokens, start = 0, time.monotonic()
            elif done > warm_up and time.monotonic() - start > seconds:
                return tokens, time.monotonic() - start


def generate(model: Any, vocabulary: int, beam: int, session: Session) -> float:
    """Sentences a second of `generate`, in batches as large as ours."""
    format = find_format("auto", session.device)
    model = model.eval().to({"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[format])
    count, length = (4, 3) if session.quick else (COUNT, LENGTH)
    draw = np.random.default_rng(1)
    ids = torch.from_numpy(draw.integers(4, vocabulary, (count, LENGTH)))
    ids[:, -1] = EOS
    batch = max(1, 16_384 * 2 // max(2, beam) // LENGTH)

    def search() -> int:
        for source in ids.split(batch):
            with torch.no_grad():
                place: Tensor = source.to(session.device)
                model.generate(
                    place,
                    attention_mask=torch.ones_like(place),
                    num_beams=beam,
                    do_sample=False,
                    min_new_tokens=length,
                    max_new_tokens=length,
                )
        return count

    return sentences_a_second(search, session)
