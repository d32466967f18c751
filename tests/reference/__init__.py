"""The slow truth: encoder-decoders with attention, written from the papers' equations in plain loops.

One sentence at a time, one unit at a time, in float64, without batches, padding or masks (except where the
mask is the subject). It shares no code with the package and knows neither its configs nor its parameter
names: weights arrive as plain dicts of NumPy arrays, a model's choices as a `Recipe`. Vectors are
one-dimensional arrays, a sentence is a list.
"""

from reference.attention import (
    HISTORY,
    NORMALISERS,
    SCORES,
    WINDOWS,
    coverage,
    entmax15,
    entropy,
    fertility,
    local_m,
    local_p,
    location_aware,
    log_p_of_draws,
    soft_attention,
    softmax,
    sparsemax,
    top_k,
)
from reference.convolution import Blocks
from reference.copying import copy, mixture
from reference.experiments import shared_weights
from reference.metrics import cider_d, corpus_bleu, cross_entropy, longest_common_subsequence, rouge_l
from reference.recipe import Recipe, memory
from reference.recurrent import CELLS, decode, encode
from reference.transformer import Layers, rotate, sinusoid
from reference.vectors import linear
from reference.vision import (
    convolution,
    doubly_stochastic,
    residual_network,
    self_attention_2d,
    show_attend_and_tell,
)

__all__ = [
    "CELLS",
    "HISTORY",
    "NORMALISERS",
    "SCORES",
    "WINDOWS",
    "Blocks",
    "Layers",
    "Recipe",
    "cider_d",
    "convolution",
    "copy",
    "corpus_bleu",
    "coverage",
    "cross_entropy",
    "decode",
    "doubly_stochastic",
    "encode",
    "entmax15",
    "entropy",
    "fertility",
    "linear",
    "local_m",
    "local_p",
    "location_aware",
    "log_p_of_draws",
    "longest_common_subsequence",
    "memory",
    "mixture",
    "residual_network",
    "rotate",
    "rouge_l",
    "run",
    "self_attention_2d",
    "shared_weights",
    "show_attend_and_tell",
    "sinusoid",
    "soft_attention",
    "softmax",
    "sparsemax",
    "top_k",
]


def run(recipe, weights, source, tokens, draws=None):
    return decode(recipe, weights, encode(recipe, weights, source), tokens, draws)
