"""The tensors of a `MarianMTModel` under the names and in the order of this program, and back.

A Marian model has the sines of positions in the first half of a vector and the cosines in the second; here
they are side by side. The numbers of a vector have no other order: so they are exchanged in every matrix that
reads or writes one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2attn.marian.settings import Facts
from seq2attn.marian.vocabulary import NO_ROW, Vocabulary

BANNED = -100.0  # logit of a token that a Marian model does not have, less than its smallest bias
POSITIONS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
_BIAS = "final_logits_bias"
_SHARED = "model.shared.weight"
_SOURCE, _TARGET = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
_HEAD = "lm_head.weight"


class Part(NamedTuple):
    """A linear map or a norm of a layer."""

    own: str
    theirs: tuple[str, ...]  # the maps that are one here, one below the other
    reads: bool = False  # a vector; otherwise it writes one


SELF = (
    Part("self_attn.qkv", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), reads=True),
    Part("self_attn.out", ("self_attn.out_proj",)),
    Part("self_attn_norm", ("self_attn_layer_norm",)),
    Part("ffn.up", ("fc1",), reads=True),
    Part("ffn.down", ("fc2",)),
    Part("ffn_norm", ("final_layer_norm",)),
)
SOURCE = (
    *(
        Part(f"cross_attn.{own}", (f"encoder_attn.{own[0]}_proj",), reads=True)
        for own in ("query", "key", "value")
    ),
    Part("cross_attn.out", ("encoder_attn.out_proj",)),
    Part("cross_attn_norm", ("encoder_attn_layer_norm",)),
)


def shapes(facts: Facts) -> dict[str, list[int]]:
    """Name -> shape of each tensor that a file of weights may have; of embeddings it has one name or more."""
    size = facts.width
    result = {_BIAS: [1, facts.sizes[1]], _HEAD: [facts.sizes[1], size], _TARGET: [facts.sizes[1], size]}
    result |= {_SOURCE: [facts.sizes[0], size]} | ({_SHARED: [facts.sizes[0], size]} if facts.shared else {})
    for part, their, _ in _parts(facts):
        inner = facts.inner["model.decoder" in their]
        rows, columns = {"fc1": (inner, size), "fc2": (size, inner)}.get(part, (size, size))
        result[f"{their}.bias"] = [rows]
        result[f"{their}.weight"] = [rows] if part.endswith("norm") else [rows, columns]
    return result


def required(facts: Facts) -> set[str]:
    """The tensors that a file must have, other than embeddings."""
    return {f"{their}.{kind}" for _, their, _ in _parts(facts) for kind in ("weight", "bias")}


def to_own(theirs: Mapping[str, Tensor], facts: Facts, sides: Sequence[Vocabulary]) -> dict[str, Tensor]:
    """The tensors of this program's model from those of a file with the shapes of `shapes`.

    `sides` are the vocabularies of source and target. Raises ValueError if an embedding is missing.
    """
    order = interleaved(facts.width)
    own: dict[str, Tensor] = {}
    for stack, layer, part in _layers(facts):
        names = [f"model.{stack}.layers.{layer}.{their}" for their in part.theirs]
        weight = torch.cat([theirs[f"{name}.weight"] for name in names])
        bias = torch.cat([theirs[f"{name}.bias"] for name in names])
        mine = f"{stack}.layers.{layer}.{part.own}"
        own[f"{mine}.weight"] = weight[:, order] if part.reads else weight[order]
        own[f"{mine}.bias"] = bias if part.reads else bias[order]
    shared = (_SHARED,) if facts.shared else ()
    ties = (_HEAD,) if facts.tied != "none" else ()
    source = _first(theirs, (_SOURCE, *shared, *((_TARGET, *ties) if facts.shared else ())))
    target = _first(theirs, (_TARGET, *shared, *ties, *((_SOURCE,) if facts.shared else ())))
    scale = 1.0 if facts.scaled else facts.width**-0.5  # this program multiplies by the root of the width
    own["encoder.embedding.weight"] = scale * _rows(source, sides[0])[:, order]
    own["decoder.target_embedding.weight"] = scale * _rows(target, sides[1])[:, order]
    bias = theirs.get(_BIAS, torch.zeros(1, facts.sizes[1]))
    rows = _rows(bias.T, sides[1])[:, 0]
    rows[sides[1].banned] = bias.min() + BANNED
    own["decoder.output.bias"] = rows
    if facts.tied == "none":
        own["decoder.output.weight"] = _rows(_first(theirs, (_HEAD,)), sides[1])[:, order]
    elif not facts.scaled:  # the output layer reads the last norm alone: it takes the factor back
        for kind in ("weight", "bias"):
            own[f"decoder.layers.{facts.layers[1] - 1}.ffn_norm.{kind}"] *= facts.width**0.5
    if facts.both_tied:
        del own["decoder.target_embedding.weight"]  # it is the source's
    return own


def to_marian(
    own: Mapping[str, Tensor], facts: Facts, source_order: Sequence[int], target_order: Sequence[int]
) -> dict[str, Tensor]:
    """The tensors of a `MarianMTModel`, whose tokens are those of the two orders, from those of this program.

    `facts` are of what is written.
    """
    order = torch.argsort(torch.tensor(interleaved(facts.width)))
    theirs: dict[str, Tensor] = {}
    for stack, layer, part in _layers(facts):
        mine = f"{stack}.layers.{layer}.{part.own}"
        weight, bias = own[f"{mine}.weight"], own[f"{mine}.bias"]
        weight, bias = (weight[:, order], bias) if part.reads else (weight[order], bias[order])
        names = [f"model.{stack}.layers.{layer}.{their}" for their in part.theirs]
        for name, rows, numbers in zip(names, weight.chunk(len(names)), bias.chunk(len(names)), strict=True):
            theirs[f"{name}.weight"], theirs[f"{name}.bias"] = rows, numbers
    source = own["encoder.embedding.weight"][list(source_order)][:, order]
    if facts.both_tied:
        theirs[_SHARED] = source
    else:
        theirs[_SOURCE] = source
        theirs[_TARGET] = own["decoder.target_embedding.weight"][list(target_order)][:, order]
    if facts.tied == "none":
        theirs[_HEAD] = own["decoder.output.weight"][list(target_order)][:, order]
    theirs[_BIAS] = own["decoder.output.bias"][list(target_order)][None]
    return theirs


def interleaved(width: int) -> list[int]:
    """For each number of a vector of this program the place that it has in a Marian model."""
    half = width // 2
    return [half * (place % 2) + place // 2 for place in range(width)]


def sinusoids(count: int, width: int) -> Tensor:
    """float32 (count, width): the vectors of positions as a Marian model has them."""
    pair = torch.arange(width // 2, dtype=torch.float64)
    angle = torch.arange(count, dtype=torch.float64)[:, None] / 10000 ** (2 * pair / width)
    return torch.cat([angle.sin(), angle.cos()], 1).float()


def _layers(facts: Facts) -> Iterator[tuple[str, int, Part]]:
    for stack, count, parts in zip(
        ("encoder", "decoder"), facts.layers, (SELF, (*SELF, *SOURCE)), strict=True
    ):
        for layer in range(count):
            for part in parts:
                yield stack, layer, part


def _parts(facts: Facts) -> Iterator[tuple[str, str, Part]]:
    """(name in a layer, whole name) of each map of the Marian model, without ".weight"."""
    for stack, layer, part in _layers(facts):
        for their in part.theirs:
            yield their, f"model.{stack}.layers.{layer}.{their}", part


def _first(tensors: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    for name in names:
        if name in tensors:
            return tensors[name]
    raise ValueError(f"it has no {names[0]}")


def _rows(table: Tensor, side: Vocabulary) -> Tensor:
    """The rows of a table of tokens in the order of this program; zeros for a token that is new."""
    places = torch.tensor(side.places)
    rows = table[places.clamp(min=0)]
    rows[places == NO_ROW] = 0
    return rows
