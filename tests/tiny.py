"""Tiny tokenizers and random models, quick to make: for tests of what is around a model rather than of the
model.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.tokenizer import EOS, Tokenizer
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

ENGLISH = [
    "the small dog sleeps in the garden",
    "a big cat sees the old house",
    "we do not eat red apples today",
    "she sings, and they listen to her songs",
    "where is the station of the town?",
    "my friends' books are on the table!",
    "rain falls over hills and quiet rivers",
] * 3
FRENCH = [
    "le petit chien dort dans le jardin",
    "un grand chat voit la vieille maison",
    "nous ne mangeons pas de pommes rouges aujourd'hui",
    "elle chante, et ils écoutent ses chansons",
    "où est la gare de la ville ?",
    "les livres de mes amis sont sur la table !",
    "la pluie tombe sur les collines et les rivières calmes",
] * 3


@functools.cache
def tokenizer(side: str = "source", kind: str = "bpe", size: int = 90) -> Tokenizer:
    return Tokenizer.train(ENGLISH if side == "source" else FRENCH, size, kind, False)


class Numbers:
    """A tokenizer of as large a vocabulary as a test wants, with nothing to learn: "17 203" is the pieces 17
    and 203.
    """

    kind, lowercase = "word", False

    def __init__(self, size: int) -> None:
        self.size = size

    def normal(self, text: str) -> str:
        return text

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    def subwords(self, ids: Sequence[int]) -> list[str]:
        return [str(number) for number in ids]

    def word_index(self, ids: Sequence[int]) -> list[int]:
        return list(range(len(ids)))


def settings(
    attention: dict[str, object] | None = None,
    encoder: dict[str, object] | None = None,
    pointer: bool = False,
    **decoder: object,
) -> Config:
    """A model of a few thousand parameters; `attention` overrides model.attention.*, `encoder`
    model.encoder.* and `decoder` model.decoder.*, whatever kind they are of; `pointer` is model.pointer.
    """
    recurrent = (
        {"size": 16, "query_state": "previous", "context_to": ["input", "readout"]}
        if decoder.get("kind", "rnn") == "rnn"
        else {}
    )
    tree = {
        "data": {"joint": False},
        "model": {
            "embedding": 12,
            "pointer": pointer,
            "encoder": {"size": 8} | (encoder or {}),
            "decoder": recurrent | decoder,
            "attention": {"score": "additive", "size": 8} | (attention or {}),
        },
    }
    return config.validate(tree, "tests")


def model(of: Config, seed: int = 1, sharpness: float = 3.0) -> Seq2Seq:
    """A random model, in training mode as training has it; the larger the sharpness, the surer of itself."""
    torch.manual_seed(seed)
    result = build(of.model, tokenizer("source").size, tokenizer("target").size)
    with torch.no_grad():
        for weight in result.parameters():
            weight.copy_(torch.randn_like(weight) * sharpness / max(weight.shape[-1], 9) ** 0.5)
        result.decoder.output.bias[EOS] += sharpness  # so that outputs end, some sooner and some later
    return result


def translator(seed: int = 1, sharpness: float = 3.0, **decoder: Any) -> Translator:
    of = settings(**decoder)
    return Translator(
        model(of, seed, sharpness), tokenizer("source"), tokenizer("target"), of, languages=("en", "fr")
    )


def save_run(path: Path, seed: int = 1, **decoder: Any) -> Path:
    """A run directory whose best weights are those of `translator(seed, **decoder)`."""
    of = settings(**decoder)
    files = {}
    for side in ("source", "target"):
        tokenizer(side).save(path.parent / f"{side}.bin")
        files[f"{side}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {"source_size": tokenizer("source").size, "target_size": tokenizer("target").size}
    run = directory.create(
        path, of, **sizes, languages=("en", "fr"), tokenizers=files, corpus="tiny", force=False
    )
    save_weights(run, model(of, seed))
    return path
