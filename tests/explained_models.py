"""Tiny random translators of every family, and a few pairs of words for them."""

from typing import Any

import tiny

from seq2attn.inference import Translator

TRANSFORMER: dict[str, Any] = {"kind": "transformer", "heads": 2, "feedforward": 16, "layers": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "rnn": {},
    "luong": {"query_state": "current", "context_to": ["readout"], "input_feeding": True},
    "transformer": TRANSFORMER
    | {"size": 12, "encoder": TRANSFORMER | {"size": 12}, "attention": {"heads": 2, "score": "scaled-dot"}},
    "conv": {
        "kind": "conv",
        "size": 12,
        "layers": 2,
        "kernel": 3,
        "encoder": {"kind": "conv", "size": 12, "layers": 2, "kernel": 3},
        "attention": {"score": "dot"},
    },
}
COPYING = {f"{name} that copies": FAMILIES[name] | {"pointer": True} for name in ("luong", "transformer")}
SOURCES, TARGETS = tiny.ENGLISH[:5], tiny.FRENCH[:5]


def translator(family: str, seed: int = 1, sharpness: float = 1.5) -> Translator:
    return tiny.translator(seed, sharpness, **(FAMILIES | COPYING)[family])
