"""A run as the data of a page: what describes it as JSON, and its parameters in half precision as bytes.

This module knows neither HTML nor JavaScript. `explorer/model/engine.js` reads what it writes.
"""

from typing import Any

import torch
from torch import nn

from seq2attn.data.marks import PLAIN
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError
from seq2attn.inference import Translator
from seq2attn.runs.directory import Run
from seq2attn.strict_json import whole_text

FORMAT = 1  # of the data; engine.js has the same number
BYTES = 2  # of a number in half precision


def description(run: Run, translator: Translator) -> dict[str, Any]:
    """The run without its numbers: name, languages, settings, tokenizers, and the place of each parameter."""
    model, choice = translator.members[0].model, translator.choice
    source, target = translator.source_tokenizer, translator.target_tokenizer
    return {
        "format": FORMAT,
        "run": whole_text(run.path.resolve().name),
        "kind": run.config.model.decoder.kind,
        "languages": list(run.languages),
        "model": run.config.model.model_dump(mode="json"),
        "search": run.config.search.model_dump(mode="json"),
        "choice": None if choice is None else choice._asdict(),
        "tokenizers": [
            tokenizer(one) for one in ((source,) if source.of_target is target else (source, target))
        ],
        "parameters": index(model),
    }


def half_precision(model: nn.Module, where: str) -> bytes:
    """All parameters, each once, as IEEE 754 half precision, little-endian, in the order of the index.

    Raises UserError, which names `where` and the parameter, for a number that half precision cannot hold.
    """
    parts = []
    for name, parameter in model.named_parameters():
        half = parameter.detach().to("cpu", torch.float16)
        if not half.isfinite().all():
            raise UserError(
                f"{where}: {name} holds numbers beyond those of half precision (65,504), so that a page "
                "cannot hold them; train with train.weight_decay, or serve the run"
            )
        parts.append(half.contiguous().numpy().astype("<f2").tobytes())
    return b"".join(parts)


def parameter_bytes(model: nn.Module) -> int:
    """How many bytes `half_precision` gives."""
    return BYTES * sum(parameter.numel() for parameter in model.parameters())


def index(model: nn.Module) -> list[tuple[str, list[int], int]]:
    """[name, shape, place of the first number] of each parameter. Those that are tied share a place."""
    places: dict[int, int] = {}
    total = 0
    rows = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) not in places:
            places[id(parameter)] = total
            total += parameter.numel()
        rows.append((name, list(parameter.shape), places[id(parameter)]))
    return rows


def tokenizer(own: Tokenizer) -> dict[str, Any]:
    """Kind, subwords by id, and their scores."""
    facts = {"kind": own.kind, "lowercase": own.lowercase, "pieces": own.vocabulary, "scores": own.scores}
    if own.plain_marks == "none":
        return facts
    # as one for both sides, it may leave the marks of targets as they are
    as_target = {"asTarget": {"plainMarks": None}} if own.plain_marks == "source" else {}
    return facts | {"plainMarks": PLAIN} | as_target
