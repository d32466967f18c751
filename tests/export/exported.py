"""Small Transformers to export: settings by what differs, random or trained on a few sentences, and the run
directory of each.
"""

from pathlib import Path
from typing import Any

import tiny
import torch

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

SIZE = 16
# as the preset `transformer` has it
TODAY = {"prenorm": True, "norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False}
FIRST: dict[str, Any] = {}  # as `vaswani17` has it: the defaults


def settings(
    stack: dict[str, Any] = FIRST,
    decoder: dict[str, Any] = FIRST,
    attention: dict[str, Any] = FIRST,
    size: int = SIZE,
    tied: str = "output",
) -> Config:
    """`stack` changes both sides, `decoder` the decoder beyond that."""
    both = {"kind": "transformer", "size": size, "layers": 2, "heads": 4, "feedforward": 24} | stack
    model = {
        "embedding": size,
        "dropout": 0.0,
        "tied": tied,
        "encoder": both,
        "decoder": both | decoder,
        "attention": {"score": "scaled-dot", "heads": 4} | attention,
    }
    return config.validate({"data": {"joint": tied == "all"}, "model": model}, "tests")


def random(of: Config) -> Seq2Seq:
    """Sure of itself, biases and norms away from where they begin, and nothing but pieces of text and the end
    likely, so that banning the rest changes nothing.
    """
    torch.manual_seed(1)
    made = build(
        of.model, tiny.tokenizer("source").size, tiny.tokenizer("source" if of.data.joint else "target").size
    )
    with torch.no_grad():
        for name, weight in made.named_parameters():
            plain = torch.randn_like(weight)
            weight.copy_(
                plain * 2 / max(weight.shape[-1], 9) ** 0.5
                if weight.dim() > 1
                else plain / 2 + ("norm" in name and name.endswith("weight"))
            )
        made.decoder.output.bias[:EOS] -= 100
        made.decoder.output.bias[EOS] += 2
    return made.eval()


def trained(of: Config, steps: int = 150) -> Seq2Seq:
    """Taught the few sentences of `tiny`."""
    torch.manual_seed(1)
    source, target = tiny.tokenizer("source"), tiny.tokenizer("target")
    made = build(of.model, source.size, target.size)
    sources = _padded([[*ids, EOS] for ids in source.encode_batch(tiny.ENGLISH[:7])])
    targets = _padded([[BOS, *ids, EOS] for ids in target.encode_batch(tiny.FRENCH[:7])])
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    for _ in range(steps):
        logits = made(sources, sources != PAD, targets[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=PAD, label_smoothing=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval()


def save(path: Path, of: Config, model: Seq2Seq) -> Path:
    """A run directory with this model."""
    files = {}
    for side in ("source", "target"):
        tiny.tokenizer("source" if of.data.joint else side).save(path.parent / f"{side}.bin")
        files[f"{side}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {
        "source_size": len(model.encoder.embedding.weight),
        "target_size": len(model.decoder.target_embedding.weight),
    }
    run = directory.create(
        path, of, **sizes, languages=("en", "fr"), tokenizers=files, corpus="tiny", force=False
    )
    save_weights(run, model)
    return path


def _padded(rows: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
