"""The scores of attention: their names, and what the settings must know about each.

A new score is a name and a row here. `seq2attn.attention.scores` computes it. A score of the user's own,
`package.module:Class`, has no row.
"""

from typing import Literal, NamedTuple

ScoreName = Literal[
    "additive",
    "dot",
    "scaled-dot",
    "general",
    "keyed",
    "concat",
    "concat-linear",
    "sigmoid",
    "cosine",
    "location",
    "concat-location",
]


class ScoreTraits(NamedTuple):
    formula: str  # formula of the score of a query s and a key h, without biases
    hidden_units: bool = False  # has hidden units, model.attention.size of them
    equal_sizes: bool = False  # queries and keys must have one size
    uses_keys: bool = True
    product: bool = False  # a dot product of a map of the query and a map of the key


# What is assumed of a score of the user's own. The class itself says the rest, see `own_code`.
OWN_SCORE = ScoreTraits("computed by a class of your own", hidden_units=True)
SCORES: dict[ScoreName, ScoreTraits] = {
    "additive": ScoreTraits("v . tanh(W s + U h)", hidden_units=True),
    "dot": ScoreTraits("s . h", equal_sizes=True, product=True),
    "scaled-dot": ScoreTraits("s . h / sqrt(size)", equal_sizes=True, product=True),
    "general": ScoreTraits("s . W h", product=True),
    "keyed": ScoreTraits("q(s) . k(h), with query_map and key_map", product=True),
    "concat": ScoreTraits("v . tanh(W [s; h])", hidden_units=True),
    "concat-linear": ScoreTraits("w . [s; h]"),
    "sigmoid": ScoreTraits("sigmoid(w . [s; h])"),
    "cosine": ScoreTraits("cos(s, h) times a learned number", equal_sizes=True),
    "location": ScoreTraits("s times one row of W for each source position", uses_keys=False),
    "concat-location": ScoreTraits(
        "[last token's embedding; s] times one row of W for each source position", uses_keys=False
    ),
}


def traits_of(score: ScoreName) -> ScoreTraits:
    """What the settings know about a score, which may be code of the user's own."""
    return SCORES.get(score, OWN_SCORE)


FORMULAS = "; ".join(f"{name}: {traits.formula}" for name, traits in SCORES.items())
WITH_HIDDEN_UNITS = tuple(name for name, traits in SCORES.items() if traits.hidden_units)
