"""Every setting of a run: frozen, typed, read from TOML or JSON, changed by `KEY=VALUE`, refused by name when wrong.

A leaf: it imports nothing of the package but its errors, and knows no torch. What a setting does is said here once, and
contradictions between settings are refused here, before any work starts.
"""

import json
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic.fields import FieldInfo

from seq2attn.errors import UsageError
from seq2attn.near import nearest
from seq2attn.synonyms import known_as

# A run may come from a stranger: upper bounds are beyond what this program is used for, and below what takes
# gigabytes, or for ever, before it fails.
MOST_BYTES = 1 << 20  # of a file of settings
MOST_PARAMETERS = 1_000_000_000  # of a model, estimated from its settings
MOST_TOKENS = 4096  # of an output
MOST_BEAM = 1024  # hypotheses of one sentence
MOST_SAMPLES = 4096  # draws of one sentence: where one is chosen, comparisons grow with the square
MOST_PENALTY = 10  # exponent of the length: beyond it scores leave the range of numbers
MOST_BATCH_TOKENS = 1_000_000

Size = Annotated[int, Field(ge=1, le=16_384)]  # of a vector
Layers = Annotated[int, Field(ge=1, le=256)]
Heads = Annotated[int, Field(ge=1, le=1024)]
Places = Annotated[int, Field(ge=1, le=65_536)]  # positions of a source or an output
Kernel = Annotated[int, Field(ge=1, le=1023)]  # positions that a convolution sees
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]  # of what costs time alone, such as steps
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
Cell = Literal["rnn", "gru", "lstm"]
Place = Literal["input", "layer", "readout"]
Map = Literal["identity", "linear", "nonlinear"]  # x, W x, tanh(W x + b)
Part = Literal["states", "embeddings", "sum"]
Norm = Literal["layer", "rms"]
Positions = Literal["sinusoidal", "learned", "rotary", "none"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

PRESETS = Path(__file__).parent / "presets"
SPENT = (
    "about",
    "data",
    "train",
    "model.dropout",
    "model.init",
    "model.init_range",
    "model.encoder.weights",
    "model.encoder.frozen",
)  # what changes nothing in a run once it is trained


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Section):
    """How raw text becomes a prepared folder; read by `prepare`, and by `train` when it is given a raw corpus."""

    source: str | None = None  # file ending, column or key of the source side; None: as the corpus says
    target: str | None = None  # the same of the target side
    vocab_size: Annotated[int, Field(ge=1, le=1_000_000)] = (
        8000  # pieces of a vocabulary, the special ones counted
    )
    tokenizer: Literal["unigram", "bpe", "char", "word"] | None = (
        None  # pieces by likelihood or by merges, characters, or white-space words; None: unigram, and word for captions
    )
    joint: bool = True  # one vocabulary for both sides
    lowercase: bool = False  # text is made lower case first
    max_length: Annotated[int, Field(ge=1, le=1_000_000)] = 256  # tokens; longer training pairs are dropped
    max_ratio: Positive = (
        4.0  # of the longer side's tokens to the shorter's; beyond it a training pair is dropped
    )
    max_bad: Share = 0.01  # of the rows of a table may be no rows of it; they are left out, and with more nothing is prepared
    max_missing: Share = 0.05  # of the images that captions name may be missing or damaged; they are left out, and with more nothing is prepared
    follow_links: bool = False  # images of a corpus may be links to files outside of its folder


class RNNEncoderConfig(Section):
    kind: Literal["rnn"] = "rnn"
    cell: Cell = (
        "lstm"  # of a layer: plain tanh, gated (Cho 2014), or with a memory (Hochreiter and Schmidhuber 1997)
    )
    size: Size = 256  # units per direction
    layers: Layers = 1  # one upon another
    bidirectional: bool = True  # read the source from both ends
    reverse: bool = False  # read the source from right to left (Sutskever 2014)

    @property
    def width(self) -> int:
        """Size of one annotation h_j: both directions together."""
        return self.size * (2 if self.bidirectional else 1)

    @model_validator(mode="after")
    def _reverse_reads_one_way(self) -> Self:
        if self.reverse and self.bidirectional:
            raise ValueError(
                "model.encoder.reverse needs model.encoder.bidirectional=false: both directions are read already"
            )
        return self


class ConvEncoderConfig(Section):
    """Gehring 2017: blocks of a 1-D convolution and a gated linear unit, each with its residual. The states are as long as the embedding."""

    kind: Literal["conv"]
    size: Size = 256  # channels of a block
    layers: Layers = 4  # blocks, one upon another
    kernel: Kernel = 3  # positions that one convolution sees, odd
    positions: Literal["learned", "sinusoidal", "none"] = "learned"  # how places are told apart
    max_positions: Places = (
        1024  # learned: how many positions have a vector of their own; later ones share the last
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        _refuse_idle(self, "model.encoder", _LEARNED)
        if self.kernel % 2 == 0:
            raise ValueError(
                f"model.encoder.kernel is {self.kernel}: a convolution that is centred on a position has an odd width"
            )
        return self


class TransformerConfig(Section):
    """What a Transformer encoder and decoder have in common (Vaswani 2017)."""

    kind: Literal["transformer"]
    size: Size = 256  # of a position's vector, d_model
    layers: Layers = 3  # one upon another
    heads: Heads = 4  # of self-attention
    kv_heads: Heads | None = (
        None  # keys and values that the heads share; None: as many as heads, 1: multi-query (Shazeer 2019), else grouped (Ainslie 2023)
    )
    feedforward: Annotated[int, Field(ge=1, le=65_536)] = 1024  # hidden units of the position-wise network
    activation: Literal["relu", "gelu", "swiglu"] = "relu"  # swiglu: gated (Shazeer 2020)
    norm: Norm = "layer"  # rms: by the root of the mean square (Zhang and Sennrich 2019)
    prenorm: bool = False  # normalise what enters a sublayer (and the end of the stack), instead of its sum with the residual
    positions: Positions = (
        "sinusoidal"  # how places are told apart; rotary: by turning queries and keys (Su 2021)
    )
    max_positions: Places = (
        1024  # learned: how many positions have a vector of their own; later ones share the last
    )
    bias: bool = True  # in the linear maps, of what is read from the source too, and the shift of layer norms

    def _refuse(self, side: str) -> None:
        _refuse_idle(self, f"model.{side}", _LEARNED)
        _refuse_kv_heads(f"model.{side}", self.heads, self.kv_heads)
        if self.size % self.heads:
            raise ValueError(
                f"model.{side}.heads={self.heads} must divide model.{side}.size, {self.size}, without rest"
            )
        if self.positions == "rotary" and (self.size // self.heads) % 2:
            raise ValueError(
                f'model.{side}.positions="rotary" turns pairs of numbers: a head has {self.size // self.heads}, which is odd'
            )


class TransformerEncoderConfig(TransformerConfig):
    @property
    def width(self) -> int:
        return self.size

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        self._refuse("encoder")
        return self


BACKBONES = ("resnet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
STAGES = 4  # of a residual network


class ImageEncoderConfig(Section):
    """Xu 2015: a convolutional backbone makes a grid of positions of an image; of a clip, one position a frame."""

    kind: Literal["image"]
    backbone: str = "resnet"  # resnet: our own, of `blocks` and `channels`; resnet18, 34, 50, 101, 152: as He 2016 has them; timm:NAME; or package.module:function
    weights: str | None = (
        None  # a file of published weights for the backbone (safetensors, or a checkpoint of weights alone); None: drawn at random
    )
    blocks: Annotated[tuple[Layers, ...], Field(strict=False)] = (
        1,
        1,
        1,
    )  # resnet: residual blocks of each stage
    channels: Size = 32  # resnet: of the first stage; each stage has twice as many as the one before
    stages: Annotated[int, Field(ge=1, le=STAGES)] = (
        STAGES  # resnet18 and so on: the first so many; a position is of 4, 8, 16, 32 pixels
    )
    norm: Literal["group", "batch"] = (
        "group"  # batch: by the statistics of a file of weights, which stay as they are (of resnet18 and so on)
    )
    self_attention: Annotated[int, Field(ge=1, le=STAGES)] | None = (
        None  # the stage of a residual network behind which positions read each other (Zhang 2019)
    )
    frozen: bool = False  # never train the backbone: what it makes of an image is kept, and made once
    image_size: Annotated[int, Field(ge=16, le=1024)] = (
        96  # pixels: images are brought to image_size x image_size
    )
    resize: Literal["stretch", "crop", "pad"] = (
        "stretch"  # how: both sides apart, the middle of the shorter side, or all with grey beside it
    )
    mean: Annotated[tuple[float, float, float], Field(strict=False)] = (
        0.485,
        0.456,
        0.406,
    )  # of red, green, blue from 0 to 1, taken off what the backbone sees
    std: Annotated[tuple[Positive, Positive, Positive], Field(strict=False)] = (
        0.229,
        0.224,
        0.225,
    )  # what it is divided by then
    size: Size = 256  # of a position's vector
    positions: Literal["none", "sinusoidal", "learned"] = (
        "none"  # how places are told apart, rows and columns each; a clip needs it
    )
    max_frames: Annotated[int, Field(ge=1, le=256)] = (
        1  # 1: stills; more: clips, of which so many frames at most are read, evenly spaced
    )
    temporal: Literal["mean", "rnn", "transformer"] = (
        "rnn"  # clips: what is made of the frames, at each cell: their mean, states that run both ways, or self-attention
    )
    temporal_layers: Layers = 1  # clips: of rnn or transformer, one upon another
    temporal_heads: Heads = 4  # clips: transformer: of self-attention

    @property
    def width(self) -> int:
        return self.size

    @property
    def clips(self) -> bool:
        return self.max_frames > 1

    @property
    def residual(self) -> bool:
        """Whether the backbone is one of ours."""
        return self.backbone in BACKBONES

    @property
    def code(self) -> str | None:
        """The function of somebody else's that the backbone comes from; None where it does not."""
        return None if self.residual or self.backbone.startswith("timm:") else self.backbone

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        _refuse_idle(
            self,
            "model.encoder",
            (("blocks", "backbone", BACKBONES[:1]), ("channels", "backbone", BACKBONES[:1])),
        )
        _refuse_idle(
            self,
            "model.encoder",
            (("stages", "backbone", BACKBONES[1:]), ("norm", "backbone", BACKBONES[1:])),
        )
        if not self.residual and not re.fullmatch(
            r"timm:[\w./-]+|[A-Za-z_][\w.]*:[A-Za-z_]\w*", self.backbone
        ):
            near = nearest(self.backbone, BACKBONES)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(
                f'model.encoder.backbone="{self.backbone}"{hint}: choose {", ".join(BACKBONES)}, timm:NAME, or package.module:function for one of your own'
            )
        if len(self.blocks) > STAGES:
            raise ValueError(f"model.encoder.blocks has {len(self.blocks)} stages: {STAGES} are the most")
        if self.self_attention is not None and (not self.residual or self.self_attention > self.depth):
            stages = f"it has {self.depth}" if self.residual else "it is none of ours"
            raise ValueError(
                f'model.encoder.self_attention is a stage of the backbone, and of "{self.backbone}" {stages}: leave it out'
            )
        if self.norm == "batch" and self.weights is None:
            raise ValueError(
                'model.encoder.norm="batch" has the statistics of a file of weights: set model.encoder.weights, or choose group'
            )
        if self.weights is not None and self.residual and (self.backbone == "resnet" or self.norm == "group"):
            raise ValueError(
                'model.encoder.weights are those of a published network: set model.encoder.backbone to resnet18 or the like, and model.encoder.norm="batch"'
            )
        if not self.blocks:
            raise ValueError("model.encoder.blocks is empty: say how many residual blocks each stage has")
        if self.frozen and self.self_attention is not None:
            raise ValueError(
                "model.encoder.frozen=true keeps all of the backbone as it is, and what model.encoder.self_attention adds would do nothing: leave one out"
            )
        if self.frozen and self.code is None and self.weights is None:
            raise ValueError(
                "model.encoder.frozen=true keeps a backbone as it is, and one drawn at random sees nothing: set model.encoder.weights"
            )
        if not self.clips:
            for name in ("temporal", "temporal_layers", "temporal_heads"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"model.encoder.{name} is for clips: set model.encoder.max_frames to the frames that are read, or leave it out"
                    )
        _refuse_idle(
            self,
            "model.encoder",
            (
                ("temporal_heads", "temporal", ("transformer",)),
                ("temporal_layers", "temporal", ("rnn", "transformer")),
            ),
        )
        if self.positions != "none" and self.size % 4:
            raise ValueError(
                f"model.encoder.positions are of rows and columns, pairs of numbers each: model.encoder.size, {self.size}, must be divisible by 4"
            )
        if self.clips and self.temporal == "transformer" and self.size % self.temporal_heads:
            raise ValueError(
                f"model.encoder.temporal_heads={self.temporal_heads} must divide model.encoder.size, {self.size}, without rest"
            )
        if self.clips and self.temporal == "rnn" and self.size % 2:
            raise ValueError(
                f"model.encoder.size is {self.size}: states that run both ways have half of it each; make it even"
            )
        return self

    @property
    def depth(self) -> int:
        """Stages of a residual network."""
        return len(self.blocks) if self.backbone == "resnet" else self.stages


class RNNDecoderConfig(Section):
    kind: Literal["rnn"] = "rnn"
    cell: Cell = (
        "lstm"  # of a layer: plain tanh, gated (Cho 2014), or with a memory (Hochreiter and Schmidhuber 1997)
    )
    size: Size = 512  # units of one layer
    layers: Layers = 1  # one upon another
    context_source: Literal["attention", "summary", "none"] = (
        "attention"  # what the context is: read anew each step, the fixed summary, or none
    )
    query_state: Literal["current", "previous"] = (
        "current"  # the state that asks: s_i (Luong) or s_{i-1} (Bahdanau)
    )
    context_to: Annotated[tuple[Place, ...], Field(strict=False)] = (
        "readout",
    )  # where the context goes: any set of input, layer, readout
    gate: Literal["none", "scalar", "context"] = (
        "none"  # on what is read: one number (Xu 2015, section 4.2.1), or one a unit (Tu 2017, the source gate)
    )
    input_feeding: bool = False  # the last readout vector joins the next input (Luong 2015, section 3.3)
    readout: Literal["linear", "tanh", "maxout"] = (
        "tanh"  # what the output layer is given: W x, tanh(W x + b), or the larger of each two units
    )
    readout_size: Size | None = (
        None  # None: `size`; a linear readout without a size goes straight to the vocabulary
    )
    readout_embedding: bool = False  # the readout also sees the last token's embedding
    bridge: Literal["last", "linear", "mean", "zero"] = "linear"  # how the first state comes from the encoder

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if len(set(self.context_to)) != len(self.context_to):
            raise ValueError("model.decoder.context_to names a place twice")
        if self.context_source == "none" and self.context_to:
            raise ValueError(
                'model.decoder.context_source="none" has no context to send anywhere: set model.decoder.context_to=[]'
            )
        if self.context_source != "none" and not self.context_to:
            raise ValueError(
                f'model.decoder.context_to is empty, so what is read is never used: name a place, or set model.decoder.context_source="none" (it is "{self.context_source}")'
            )
        if self.context_source == "none" and self.bridge == "zero":
            raise ValueError(
                'model.decoder.context_source="none" with model.decoder.bridge="zero" never sees the source: choose another bridge'
            )
        if self.gate != "none" and self.context_source != "attention":
            raise ValueError(
                f'model.decoder.gate is on what attention reads, and model.decoder.context_source is "{self.context_source}": leave the gate out'
            )
        if "layer" in self.context_to and self.layers == 1:
            raise ValueError(
                'model.decoder.context_to holds "layer" (the next layer of the stack): model.decoder.layers must be at least 2'
            )
        if self.input_feeding and self.readout == "linear" and self.readout_size is None:
            raise ValueError(
                "model.decoder.input_feeding feeds the readout vector: a linear readout needs model.decoder.readout_size"
            )
        return self


class ParallelDecoderConfig(Section):
    """What the decoders without recurrence have in common."""

    @property
    def context_source(self) -> Literal["attention"]:
        return "attention"


class ConvDecoderConfig(ParallelDecoderConfig):
    """Gehring 2017: causal blocks, each asking the source with an attention of its own. What asks is as long as the embedding."""

    kind: Literal["conv"]
    size: Size = 256  # channels of a block
    layers: Layers = 4  # blocks, one upon another
    kernel: Kernel = 3  # positions that one convolution sees: this one and those before it
    positions: Literal["learned", "sinusoidal", "none"] = "learned"  # how places are told apart
    max_positions: Places = (
        1024  # learned: how many positions have a vector of their own; later ones share the last
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        _refuse_idle(self, "model.decoder", _LEARNED)
        return self


class TransformerDecoderConfig(ParallelDecoderConfig, TransformerConfig):
    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        self._refuse("decoder")
        return self


def _refuse_idle(section: Section, name: str, acts: tuple[tuple[str, str, tuple[str, ...]], ...]) -> None:
    """Settings of one choice only, where another is made: (setting, the choice it belongs to, where that makes it act). There they would do nothing."""
    for setting, owner, kinds in acts:
        value, kind, default = (
            getattr(section, setting),
            getattr(section, owner),
            type(section).model_fields[setting].default,
        )
        if value != default and kind not in kinds:
            others = "".join(f' or "{other}"' for other in kinds[1:])
            raise ValueError(
                f'{name}.{setting} is for {name}.{owner}="{kinds[0]}"{others}: with "{kind}" it does nothing; leave it at {default}'
            )


def _refuse_kv_heads(name: str, heads: int, kv_heads: int | None) -> None:
    if kv_heads is not None and heads == 1:
        raise ValueError(
            f"{name}.kv_heads is what several heads share: with {name}.heads=1 it does nothing; leave it out"
        )
    if kv_heads is not None and heads % kv_heads:
        raise ValueError(f"{name}.kv_heads={kv_heads} must divide {name}.heads, {heads}, without rest")


def _kind(section: object) -> object:
    """Which encoder or decoder a section is about; the recurrent one where it does not say."""
    return section.get("kind", "rnn") if isinstance(section, dict) else getattr(section, "kind", None)


EncoderConfig = Annotated[
    Annotated[RNNEncoderConfig, Tag("rnn")]
    | Annotated[ConvEncoderConfig, Tag("conv")]
    | Annotated[TransformerEncoderConfig, Tag("transformer")]
    | Annotated[ImageEncoderConfig, Tag("image")],
    Discriminator(_kind),
]
DecoderConfig = Annotated[
    Annotated[RNNDecoderConfig, Tag("rnn")]
    | Annotated[ConvDecoderConfig, Tag("conv")]
    | Annotated[TransformerDecoderConfig, Tag("transformer")],
    Discriminator(_kind),
]


class AttentionConfig(Section):
    """score x normaliser x values, and what surrounds them."""

    score: Literal[
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
    ] = (
        "additive"  # how well a key h answers a query s, biases left out: additive: v . tanh(W s + U h);
        # dot: s . h; scaled-dot: s . h / sqrt(size); general: s . W h; keyed: q(s) . k(h), by query_map and key_map;
        # concat: v . tanh(W [s; h]); concat-linear: w . [s; h]; sigmoid: sigmoid(w . [s; h]);
        # cosine: cos(s, h) times a learned number; location: a row of W for each position, times s;
        # concat-location: the same times the last token's embedding and s
    )
    size: Size | None = (
        None  # hidden units of additive and concat, size of keyed keys, all heads together; None: the decoder's size
    )
    query_map: Map = "linear"  # keyed: q(s)
    key_map: Map = "linear"  # keyed: k(h)
    max_positions: Places = (
        256  # location scores: source positions that have a weight; later ones are never read
    )
    query_input: Literal["state", "embedding", "both"] = (
        "state"  # what asks: the decoder's state, the last token's embedding, or both
    )
    keys: Part = "states"  # what is compared: the encoder's states, its input embeddings, or their sum
    values: Part = "states"  # what is read
    value_map: Map = "identity"  # of what is read: v(h)
    heads: Heads = 1  # attentions side by side, each with maps of its own (Vaswani 2017)
    kv_heads: Heads | None = (
        None  # keys and values that the heads share; None: as many as heads, 1: multi-query (Shazeer 2019), else grouped (Ainslie 2023)
    )
    history: Literal["none", "coverage", "fertility", "location-aware"] = (
        "none"  # a term of the score that reads the weights of earlier steps
    )
    max_fertility: Positive = 2.0  # fertility: the most target words that one source word may answer for
    filters: Size = 10  # location-aware: convolution filters over the last weights
    kernel: Kernel = 7  # location-aware: their width in positions, odd
    normaliser: Literal[
        "softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "hard-sample", "gumbel"
    ] = "softmax"  # makes weights of scores
    temperature: Positive = 1.0  # scores are divided by it
    k: Places = 1  # hard-topk and hard-sample: positions read at each step
    expectation_prob: Share = (
        0.5  # hard-sample: training sentences that read the expected value instead of a draw
    )
    at_inference: Literal["argmax", "expected", "sample"] = (
        "argmax"  # hard-sample: what is read outside training
    )
    window: Literal["none", "local-m", "local-p"] = (
        "none"  # where the decoder looks: around the same position, or around a predicted one
    )
    half_width: Places = 10  # of the window, in positions

    @property
    def compares(self) -> bool:
        """Whether anything looks at a key: location scores see the query alone."""
        return self.score not in ("location", "concat-location") or self.history == "fertility"

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        _refuse_idle(self, "model.attention", _ACTS)
        _refuse_kv_heads("model.attention", self.heads, self.kv_heads)
        if self.kernel % 2 == 0:
            raise ValueError(
                f"model.attention.kernel is {self.kernel}: a filter that is centred on a position has an odd width"
            )
        if self.score == "concat-location" and self.query_input != "both":
            raise ValueError(
                'model.attention.score="concat-location" asks with state and embedding together: set model.attention.query_input="both", or choose location'
            )
        if not self.compares and self.keys != "states":
            raise ValueError(
                f'model.attention.keys is what a score compares: model.attention.score="{self.score}" compares nothing, so it does nothing; leave it at states'
            )
        if self.window == "local-p" and self.normaliser in HARD:
            raise ValueError(
                f'model.attention.window="local-p" multiplies weights by a Gaussian, and those of model.attention.normaliser="{self.normaliser}" are 0 or 1: '
                "choose local-m, or softmax"
            )
        if (
            self.normaliser == "hard-sample"
            and self.k > 1
            and (self.expectation_prob or self.at_inference == "expected")
        ):
            ways = ["set model.attention.expectation_prob=0"] if self.expectation_prob else []
            ways += ["choose another decoding than expected"] if self.at_inference == "expected" else []
            raise ValueError(
                f"model.attention.k is {self.k}: the expected value is read for one draw alone; {' and '.join(ways)}, or set model.attention.k=1"
            )
        if self.heads > 1 and self.value_map != "identity":
            raise ValueError(
                f"model.attention.heads is {self.heads}: each head maps the values already; leave model.attention.value_map out"
            )
        return self


HARD = ("hard-topk", "hard-sample", "gumbel")  # normalisers whose weights are 0 or 1

_LEARNED = (("max_positions", "positions", ("learned",)),)
_ACTS = (
    ("query_map", "score", ("keyed",)),
    ("key_map", "score", ("keyed",)),
    ("max_positions", "score", ("location", "concat-location")),
    ("max_fertility", "history", ("fertility",)),
    ("filters", "history", ("location-aware",)),
    ("kernel", "history", ("location-aware",)),
    ("k", "normaliser", ("hard-topk", "hard-sample")),
    ("expectation_prob", "normaliser", ("hard-sample",)),
    ("at_inference", "normaliser", ("hard-sample",)),
    ("half_width", "window", ("local-m", "local-p")),
)


class ModelConfig(Section):
    embedding: Size = 256  # size of a token's vector
    tied: Literal["none", "output", "all"] = (
        "output"  # output: target embedding = output matrix; all: the source embedding too
    )
    dropout: Share = 0.3  # on embeddings, between layers and on readouts
    init: Literal["glorot", "uniform", "bahdanau15"] = (
        "glorot"  # first weights; glorot: as large as keeps the size of what passes (Glorot and Bengio 2010);
        # uniform: evenly within init_range of 0; bahdanau15: normal, of deviation 0.01, as its appendix B.1 says
    )
    init_range: Positive = 0.1  # uniform: the largest first weight
    encoder: EncoderConfig = RNNEncoderConfig()
    decoder: DecoderConfig = RNNDecoderConfig()
    attention: AttentionConfig = AttentionConfig()

    @property
    def width(self) -> int:
        """Size of one of the encoder's states; a convolutional one ends in the embedding's size (Gehring 2017)."""
        return self.embedding if self.encoder.kind == "conv" else self.encoder.width

    @property
    def decoder_size(self) -> int:
        """Size of the decoder's states, as they ask; a convolutional one's are brought to the embedding's size."""
        return self.embedding if self.decoder.kind == "conv" else self.decoder.size

    @property
    def images(self) -> bool:
        """Whether sources are images, not text."""
        return self.encoder.kind == "image"

    def memory_size(self, part: Literal["keys", "values"]) -> int:
        """Size of the encoder's keys or values, as attention is given them."""
        return self.embedding if self.parts[part == "values"] == "embeddings" else self.width

    @property
    def parts(self) -> tuple[Part, Part]:
        """What the encoder's keys and values are made of."""
        return (
            (self.attention.keys, self.attention.values)
            if self.decoder.context_source == "attention"
            else ("states", "states")
        )

    @property
    def query_size(self) -> int:
        """Size of what asks."""
        return {
            "state": self.decoder_size,
            "embedding": self.embedding,
            "both": self.decoder_size + self.embedding,
        }[self.attention.query_input]

    @property
    def attention_size(self) -> int:
        return self.attention.size or self.decoder_size

    @property
    def projects(self) -> bool:
        """Whether attention has maps of its own for queries, keys, values and what it read: with several heads, and always in a Transformer."""
        return self.attention.heads > 1 or self.decoder.kind == "transformer"

    def parameters(self, vocabulary: int) -> int:
        """About how many numbers a model of these settings learns, with so many pieces on each side: at most twice too few or too many where there are many."""
        words = vocabulary * self.embedding * (1 if self.tied == "all" else 2 if self.tied == "output" else 3)
        heads = self.attention_size * (
            self.query_size + self.memory_size("keys") + self.memory_size("values")
        )
        return (
            words
            + _encoder_parameters(self)
            + _decoder_parameters(self)
            + heads
            + self.attention.max_positions * self.query_size
        )

    @property
    def sized(self) -> bool:
        """Whether anything in attention has `attention_size` units: hidden ones of a score or a window, or maps of its own."""
        a = self.attention
        keyed = a.score == "keyed" and "identity" not in (a.query_map, a.key_map)
        return self.projects or keyed or a.score in ("additive", "concat") or a.window == "local-p"

    @model_validator(mode="after")
    def _attention_fits(self) -> Self:
        a, heads = self.attention, self.attention.heads
        if self.decoder.context_source != "attention":
            return self
        if "sum" in (a.keys, a.values) and self.embedding != self.width:
            raise ValueError(
                f'model.attention.{"keys" if a.keys == "sum" else "values"}="sum" adds states and embeddings: the encoder\'s states have {self.width}, '
                f"model.embedding is {self.embedding}; make them equal, or choose states"
            )
        unread = a.values == "embeddings" and not (a.compares and a.keys != "embeddings")
        if unread and (self.decoder.kind != "rnn" or self.decoder.bridge in ("mean", "zero")):
            recurrent = (
                f' with model.decoder.bridge="{self.decoder.bridge}"' if self.decoder.kind == "rnn" else ""
            )
            raise ValueError(
                f'model.attention.values="embeddings"{recurrent}: nothing reads the encoder\'s states; choose values or keys of states'
                + (", or another bridge" if recurrent else "")
            )
        values = self.attention_size if self.decoder.kind == "transformer" else self.memory_size("values")
        if self.attention_size % heads or values % heads:
            raise ValueError(
                f"model.attention.heads={heads} must divide the attention's size, {self.attention_size}, and the values', {values}, without rest"
            )
        if self.decoder.kind != "rnn":
            self._refuse_what_recurs()
        equal = a.score in ("dot", "scaled-dot", "cosine") or (
            a.score == "keyed" and a.key_map == a.query_map == "identity"
        )
        if equal and not self.projects and self.query_size != self.memory_size("keys"):
            raise ValueError(
                f'model.attention.score="{a.score}" needs queries and keys of one size: queries have {self.query_size} (the decoder\'s states have {self.decoder_size}), '
                f"keys {self.memory_size('keys')} (the encoder's states have {self.width}); make them equal, or choose general or additive"
            )
        return self

    def _refuse_what_recurs(self) -> None:
        a, kind = self.attention, self.decoder.kind
        if a.history != "none":
            raise ValueError(
                f'model.attention.history="{a.history}" reads the weights of earlier steps, and a {kind} decoder takes all steps at once: choose a recurrent one'
            )
        if a.score == "concat-location":
            raise ValueError(
                f'model.attention.score="concat-location" is for a recurrent decoder, beside whose state the embedding stands: with {kind} choose location'
            )
        if a.query_input != "state":
            raise ValueError(
                f'model.attention.query_input="{a.query_input}" is for a recurrent decoder: the states of a {kind} decoder hold the embedding already; leave it at state'
            )
        if kind == "transformer" and a.value_map != "identity":
            raise ValueError(
                "model.attention.value_map: a transformer decoder maps the values already; leave it out"
            )

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        d, e = self.decoder, self.encoder
        if e.kind == "image":
            self._refuse_what_is_of_text(e)
        for side, part in (("encoder", e), ("decoder", d)):
            if part.kind == "transformer" and part.size != self.embedding:
                raise ValueError(
                    f"model.{side}.size is {part.size} and model.embedding {self.embedding}: a transformer's layers add to the embedding itself; make them equal"
                )
        if d.kind != "rnn":
            return self
        if d.bridge == "last" and e.kind != "rnn":
            raise ValueError(
                f'model.decoder.bridge="last" copies a recurrent encoder\'s state: model.encoder.kind is "{e.kind}"; choose linear, mean or zero'
            )
        if d.bridge == "last" and d.size != self.width:
            raise ValueError(
                f"model.decoder.bridge=\"last\" copies the encoder's state: model.decoder.size is {d.size}, the encoder's is {self.width}; make them equal, or choose linear"
            )
        if d.bridge == "last" and e.kind == "rnn" and d.layers != e.layers:
            raise ValueError(
                f'model.decoder.bridge="last" copies layer by layer: model.decoder.layers is {d.layers}, model.encoder.layers is {e.layers}'
            )
        if d.readout == "linear" and d.readout_size is None and self.tied != "none":
            raise ValueError(
                'model.decoder.readout="linear" without model.decoder.readout_size goes straight to the vocabulary: set a size, or model.tied="none"'
            )
        return self

    def _refuse_what_is_of_text(self, encoder: ImageEncoderConfig) -> None:
        if self.tied == "all":
            raise ValueError(
                'model.tied="all" shares the embedding of the source, and images have none: choose output'
            )
        for name, part in (("keys", self.attention.keys), ("values", self.attention.values)):
            if part != "states":
                raise ValueError(
                    f'model.attention.{name}="{part}" is of embedded tokens, and images have none: leave it at states'
                )
        if self.attention.window != "none" and not encoder.clips:
            raise ValueError(
                f'model.attention.window="{self.attention.window}" is over a line of positions, and those of an image are a grid: leave it out'
            )


_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def _recurrent_parameters(cell: Cell, inputs: int, size: int, layers: int, directions: int = 1) -> int:
    return directions * _GATES[cell] * size * (inputs + size + (layers - 1) * (directions + 1) * size)


def _transformer_parameters(part: TransformerConfig, attentions: int) -> int:
    feedforward = part.feedforward * (3 if part.activation == "swiglu" else 2)
    return (
        part.layers * part.size * (attentions * 4 * part.size + feedforward) + part.max_positions * part.size
    )


def _encoder_parameters(model: ModelConfig) -> int:
    e = model.encoder
    match e.kind:
        case "rnn":
            return _recurrent_parameters(e.cell, model.embedding, e.size, e.layers, 1 + e.bidirectional)
        case "conv":
            return (
                e.layers * 2 * e.kernel * e.size + 2 * model.embedding
            ) * e.size + e.max_positions * model.embedding
        case "transformer":
            return _transformer_parameters(e, 1)
        case "image":
            channels = [e.channels << stage for stage in range(len(e.blocks))]
            backbone = (
                sum(18 * blocks * size**2 for blocks, size in zip(e.blocks, channels, strict=True))
                if e.backbone == "resnet"
                else 0
            )
            return backbone + e.size * (channels[-1] + 12 * e.size * e.temporal_layers)


def _decoder_parameters(model: ModelConfig) -> int:
    d = model.decoder
    match d.kind:
        case "rnn":
            readout = (d.readout_size or d.size) * (d.size + model.width + model.embedding)
            return (
                _recurrent_parameters(d.cell, model.embedding + model.width, d.size, d.layers)
                + readout
                + d.layers * d.size * model.width
            )
        case "conv":
            return (
                d.layers * (2 * d.kernel * d.size + 2 * model.embedding) + 2 * model.embedding
            ) * d.size + d.max_positions * model.embedding
        case "transformer":
            return _transformer_parameters(d, 2)


class ReinforceConfig(Section):
    """The objective of attention that draws its positions (Xu 2015, section 4.1)."""

    weight: NotNegative = 0.1  # hard-sample attention: weight of the rewards of its draws; 1: the expected loss falls, less: steadier
    entropy_weight: NotNegative = (
        0.002  # hard-sample attention: weight of the entropy of its distribution, which keeps it spread
    )
    baseline_decay: Share = 0.9  # hard-sample attention: decay of the moving average that rewards are compared with; 0: no baseline


class SelfCriticalConfig(Section):
    """Training on the model's own captions by their CIDEr-D (Rennie 2017)."""

    start_step: Count | None = (
        None  # images: the step from which sampled captions are trained on by their CIDEr-D; None: never
    )
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 5  # self_critical: captions sampled of each image
    baseline: Literal["greedy", "samples"] = (
        "samples"  # self_critical: what a caption has to be better than: the greedy one, or the mean of the others (Luo 2020)
    )


class TrainConfig(Section):
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1  # of everything random
    max_steps: Count = 10000  # optimizer updates
    max_minutes: Positive | None = None  # of training, validation included
    batch_tokens: Annotated[int, Field(ge=1, le=MOST_BATCH_TOKENS)] = (
        4096  # padded tokens of the longer side in one batch
    )
    accumulate: Annotated[int, Field(ge=1, le=1000)] = 1  # batches per update
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"  # adamw: weight decay apart from the gradient
    lr: Positive = 1e-3  # the highest, after warm-up
    beta1: Share = 0.9  # adam and adamw: decay of the mean gradient
    beta2: Share = 0.98  # adam and adamw: decay of the mean squared gradient
    eps: Positive = 1e-8  # adam and adamw: added to the root of that
    momentum: Share = 0.0  # sgd only
    weight_decay: NotNegative = 0.0  # of matrices; biases and the like are left alone
    schedule: Literal["constant", "cosine", "inverse-sqrt", "plateau"] = (
        "cosine"  # cosine ends with max_steps or max_minutes, whichever is nearer
    )
    warmup: Annotated[int, Field(ge=0, le=1_000_000_000)] = 200  # steps from 0 to lr
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5  # plateau: factor on lr
    plateau_patience: Count = 2  # plateau: validations without gain before a decay
    reinforce: ReinforceConfig = ReinforceConfig()
    clip_norm: NotNegative = 1.0  # largest norm of the gradient; 0: no clipping
    label_smoothing: Share = 0.1  # share of a target's probability that all tokens have alike
    ema: Share = 0.0  # decay of the averaged weights that are validated and kept; 0: the weights themselves
    average: Annotated[int, Field(ge=1, le=1000)] = (
        1  # the last validations whose weights (those of train.ema, where it is set) are averaged in what is validated and kept; 1: no others
    )
    validate_every: Count = 500  # steps from one validation to the next
    validate_sentences: Count = 1000  # of the validation split are translated for its score
    doubly_stochastic: NotNegative = 0.0  # weight of a penalty on positions whose weights over all steps do not add up to 1 (Xu 2015, section 4.2.1)
    captions_per_image: Count | None = (
        None  # images: captions of one image in a batch, others in the next epoch; None: all
    )
    max_crop: Share = 0.0  # images: the largest share of either side that a random crop cuts off
    flip: bool = False  # images: half of them mirrored; not where captions name sides
    color_jitter: Share = 0.0  # images: the largest change of brightness, contrast and saturation
    unfreeze_step: Annotated[int, Field(ge=0, le=1_000_000_000)] = (
        0  # images: the step from which the backbone is trained too
    )
    backbone_lr_factor: Positive = 1.0  # images: factor on lr for the backbone
    self_critical: SelfCriticalConfig = SelfCriticalConfig()
    patience: Annotated[int, Field(ge=0, le=1_000_000_000)] = (
        0  # validations without gain before stopping; 0: never
    )
    metric: Literal["bleu", "loss", "cider"] = "bleu"  # what "best" means; cider: of captions
    log_every: Count = 50  # steps from one line to the next
    precision: Precision = "auto"  # number format; auto: bf16 where the device multiplies it natively


class SearchConfig(Section):
    beam: Annotated[int, Field(ge=1, le=MOST_BEAM)] = 5  # hypotheses kept while searching; 1: greedy
    length_penalty: Annotated[float, Field(ge=0, le=MOST_PENALTY)] = (
        1.0  # score = log p / length ** length_penalty, the end token counted
    )
    min_length: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = 0  # tokens before the end token
    max_length: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = (
        None  # tokens; None: 2 * source tokens + 10, and 50 for an image
    )
    no_repeat_ngram: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = (
        0  # no output holds this many tokens in a row twice; 0: any may come again
    )

    @model_validator(mode="after")
    def _a_length_is_possible(self) -> Self:
        if self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(
                f"search.min_length is {self.min_length} and search.max_length {self.max_length}: no length is between them"
            )
        return self


class Config(Section):
    about: str = ""  # one line: what the preset is, and its paper
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    search: SearchConfig = SearchConfig()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if (count := self.model.parameters(self.data.vocab_size)) > MOST_PARAMETERS:
            raise ValueError(
                f"model has about {count:,} parameters, with data.vocab_size={self.data.vocab_size}: at most {MOST_PARAMETERS:,}; "
                "make sizes, layers or the vocabulary smaller"
            )
        if self.model.tied == "all" and not self.data.joint:
            raise ValueError(
                'model.tied="all" shares one embedding between both sides: it needs data.joint=true'
            )
        train = self.train
        if (
            train.self_critical.baseline == "samples"
            and train.self_critical.start_step is not None
            and train.self_critical.samples == 1
        ):
            raise ValueError(
                'train.self_critical.baseline="samples" is the mean of the others, and train.self_critical.samples is 1: draw more, or choose greedy'
            )
        if (
            train.self_critical.start_step is not None
            and self.model.decoder.context_source == "attention"
            and self.model.attention.normaliser == "hard-sample"
        ):
            raise ValueError(
                'train.self_critical.start_step gives attention that draws nothing to learn from, and model.attention.normaliser is "hard-sample": leave it out, or choose softmax'
            )
        if train.metric == "cider" and not self.model.images:
            raise ValueError('train.metric="cider" is of captions: choose bleu or loss')
        if train.doubly_stochastic and self.model.decoder.context_source != "attention":
            raise ValueError(
                f'train.doubly_stochastic is on the weights of attention, and model.decoder.context_source is "{self.model.decoder.context_source}": leave it out'
            )
        return self


_DEPTH = 12  # sections, one in the other, that any tree of settings may have


def presets() -> dict[str, Path]:
    """Name -> file of every preset, in alphabetical order."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.toml"))}


def load(preset_or_file: str, settings: Iterable[str] = ()) -> Config:
    """The config of a preset name or a TOML file, changed by `section.key=value` settings in order, kinds first. Raises UsageError.

    A setting that would do nothing is refused where `settings` name it; a file may hold it, so that one change to it needs no second one.
    """
    path = file_of(preset_or_file)
    tree = _with_base(_tree(path), path)
    settings = list(settings)
    before = _right(tree)
    _assign_all(tree, settings)
    config = validate(
        tree, str(path) if before is None else "--set"
    )  # a file that is right by itself is not to blame
    refuse_idle(settings, [(before, config)])
    return config


def file_of(preset_or_file: str) -> Path:
    """The file of a preset or of a path. Raises UsageError where there is none."""
    path = presets().get(preset_or_file) or Path(preset_or_file)
    if not path.is_file():
        if path.suffix == ".toml":
            raise UsageError(f"{preset_or_file}: no such file; `seq2attn train PRESET --show` writes one")
        near = nearest(preset_or_file, presets())
        hint = f"did you mean {' or '.join(near)}?" if near else "`seq2attn train --list` shows the presets"
        raise UsageError(f"{preset_or_file}: neither a preset nor a file; {hint}")
    return path


def _tree(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path}: not a TOML file of settings: longer than {MOST_BYTES:,} bytes")
        return tomllib.loads(content.decode().replace("\r\n", "\n"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a TOML file: it is not UTF-8 text; unpack it, or convert it") from None
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file: nested too deep") from None
    except ValueError as error:  # TOML that is wrong, text that is not UTF-8, numbers of thousands of digits
        raise UsageError(f"{path}: not a TOML file: {error}") from None


def _with_base(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """A file's settings upon those of the preset that it names with `preset = "NAME"`, if it names one. The presets themselves name none."""
    if "preset" not in tree:
        return tree
    name = tree.pop("preset")
    if not isinstance(name, str) or name not in presets():
        near = nearest(name, presets()) if isinstance(name, str) else []
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "name one that `seq2attn train --list` shows; another file cannot stand here"
        )
        raise UsageError(f"{path}: preset = {json.dumps(name, default=str)}: no preset; {hint}")
    base = _tree(presets()[name])
    _lay(tree, base)
    return base


def _lay(tree: Mapping[str, Any], base: dict[str, Any]) -> None:
    """Put the settings of `tree` in place of those of `base`. A section of another kind starts anew, as with --set."""
    for name, value in tree.items():
        below = base.get(name)
        if not isinstance(value, dict) or not isinstance(below, dict):
            base[name] = value
            continue
        if "kind" in value and value["kind"] != below.get("kind", "rnn"):
            below.clear()
        _lay(value, below)


def change(config: Config, settings: Iterable[str], where: str = "--set") -> Config:
    """The config with `section.key=value` settings changed in order, kinds first; `where` names them in errors. Raises UsageError."""
    tree = config.model_dump(mode="json")
    _assign_all(tree, settings)
    return validate(tree, where)


def refuse_bare(settings: Iterable[str]) -> None:
    """Raise UsageError where a setting is not of the form `section.key=value`."""
    for setting in settings:
        _split(setting)


def refuse_spent(settings: Iterable[str]) -> None:
    """Raise UsageError, naming the first `section.key=value` setting that acts before or in training alone: a trained run has that behind it."""
    for setting in settings:
        key = _split(setting, "search.length_penalty=0.6")[0]
        if any(key == spent or key.startswith(f"{spent}.") for spent in SPENT):
            raise UsageError(
                f"--set {setting}: acts before or in training alone, so it does nothing to a trained run; leave it out"
            )


def refuse_idle(
    settings: Iterable[str],
    changes: Sequence[tuple[Config | None, Config]],
    trained: bool = False,
    where: str = "--set",
) -> None:
    """Raise UsageError, naming the first `section.key=value` setting that does nothing in any of the configs that `settings` made: (before, after).

    A value that stood there before, or the default, may be said. With `trained`, what acts in training alone does nothing.
    """
    tables = [
        (flat(before) if before else {}, flat(after), after, list(_idle(after, trained)))
        for before, after in changes
    ]
    for setting in settings:
        for key in _named(setting):
            found = [
                _reason(key, idle)
                for old, new, after, idle in tables
                if new.get(key) not in (old.get(key), _default(after, key))
            ]
            if found and None not in found:
                raise UsageError(f"{where} {setting}: does nothing, for {found[0]}")


def validate(tree: object, where: str) -> Config:
    """A plain tree of settings, as JSON holds it, as a Config; `where` names it in errors. Raises UsageError with one line that names the first wrong setting."""
    if _is_deep(tree):
        raise UsageError(f"{where}: settings nested more than {_DEPTH} deep; there are none")
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"{where}: {_explain(error, tree)}") from None


def _is_deep(tree: object) -> bool:
    """Whether a tree is deeper than settings are; recursion over it would end in an error of Python's."""
    level = [tree]
    for _ in range(_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _right(tree: object) -> Config | None:
    if _is_deep(tree):
        return None
    try:
        return Config.model_validate(tree)
    except ValidationError:
        return None


# What is typed


def _split(setting: str, example: str = "train.lr=0.001") -> tuple[str, str]:
    key, equals, value = (part.strip() for part in setting.partition("="))
    if not equals or not key:
        raise UsageError(f"--set {setting}: write KEY=VALUE, as in --set {example}")
    return key, value


def _assign_all(tree: dict[str, Any], settings: Iterable[str]) -> None:
    for setting in sorted(
        settings, key=lambda setting: not _split(setting)[0].endswith(".kind")
    ):  # a section that starts anew must not lose what is set in it
        _assign(tree, setting)


def _assign(tree: dict[str, Any], setting: str) -> None:
    key, text = _split(setting)
    value = _value(text)
    if isinstance(value, str) and any(
        name == key and typing.get_origin(field.annotation) is tuple for name, _, field in fields()
    ):
        value = [
            word.strip() for word in value.split(",")
        ]  # bare words for a list: --set model.decoder.context_to=input
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UsageError(f"--set {setting}: {parent} is a value, not a section")
    if last == "kind" and tree.get("kind", "rnn") != value:
        tree.clear()  # another kind has other settings: it starts from its own
    tree[last] = value


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):  # thousands of digits, or of brackets, are no number and no list
        return text  # a bare word: --set model.encoder.cell=gru


def _named(setting: str) -> Iterator[str]:
    """The settings that one of the command line is about: several where its value is a table."""
    key, text = _split(setting)
    yield from _leaves(key, _value(text))


def _leaves(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        yield key
    else:
        for name, part in value.items():
            yield from _leaves(f"{key}.{name}", part)


# What does nothing


def _idle(config: Config, trained: bool) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What does nothing beside the other settings, (settings, or sections with their dot; why; what else there is to do than to leave them out), where validation lets it pass:
    there a preset would lead nowhere as soon as one setting of it is changed."""
    model, train = config.model, config.train
    a, d = model.attention, model.decoder
    attends, drawn = (
        d.context_source == "attention",
        d.context_source == "attention" and a.normaliser == "hard-sample",
    )
    if not attends:
        yield (
            ("model.attention.", "model.decoder.query_state"),
            f'model.decoder.context_source is "{d.context_source}"',
            "choose a model with attention",
        )
    if not model.sized:
        why = (
            "with an identity map has the size of queries or keys"
            if a.score == "keyed"
            else "has no hidden units"
        )
        yield (
            ("model.attention.size",),
            f'model.attention.score="{a.score}" {why}',
            "" if trained else "choose another score, or several heads",
        )
    if (
        d.kind == "rnn"
        and a.query_input == "embedding"
        and set(d.context_to) == {"readout"}
        and d.gate == "none"
    ):
        yield (
            ("model.decoder.query_state",),
            'model.attention.query_input="embedding" asks with no state, and the readout alone sees what is read',
            "",
        )
    if trained and drawn and a.k == 1:  # with more, validation wants it at 0
        yield (
            ("model.attention.expectation_prob",),
            "it acts in training alone",
            'set model.attention.at_inference="expected"',
        )
    if trained and (a.normaliser in ("hard-topk", "gumbel") or (drawn and a.at_inference == "argmax")):
        way = 'set model.attention.at_inference="sample"' if drawn else ""
        yield (
            ("model.attention.temperature",),
            f'model.attention.normaliser="{a.normaliser}" reads the best at any temperature',
            way,
        )
    if model.init != "uniform":
        yield ("model.init_range",), f'model.init is "{model.init}"', 'set model.init="uniform"'
    if train.optimizer == "sgd":
        yield (
            ("train.beta1", "train.beta2", "train.eps"),
            'train.optimizer is "sgd"',
            'set train.optimizer="adam"',
        )
    else:
        yield ("train.momentum",), f'train.optimizer is "{train.optimizer}"', 'set train.optimizer="sgd"'
    if train.schedule != "plateau":
        yield (
            ("train.plateau_factor", "train.plateau_patience"),
            f'train.schedule is "{train.schedule}"',
            'set train.schedule="plateau"',
        )
    if not model.images:
        names = (
            "captions_per_image",
            "max_crop",
            "flip",
            "color_jitter",
            "unfreeze_step",
            "backbone_lr_factor",
            "self_critical.start_step",
        )
        yield (
            (*(f"train.{name}" for name in names), "data.max_missing", "data.follow_links"),
            "it is of images, and the source is text",
            "",
        )
    else:
        yield (
            ("data.joint", "data.max_ratio", "data.max_bad"),
            "it is of sources of text, and they are images",
            "",
        )
    if train.self_critical.start_step is None:
        yield (
            ("train.self_critical.samples", "train.self_critical.baseline"),
            "train.self_critical.start_step is not set",
            "set train.self_critical.start_step to a step",
        )
    if model.encoder.kind == "image" and model.encoder.frozen:
        yield (
            ("train.unfreeze_step", "train.backbone_lr_factor"),
            "model.encoder.frozen is true",
            "set model.encoder.frozen=false",
        )
    if not drawn:
        why = (
            f'model.attention.normaliser is "{a.normaliser}"'
            if attends
            else f'model.decoder.context_source is "{d.context_source}"'
        )
        way = (
            'set model.attention.normaliser="hard-sample"'
            if attends
            else "choose a model with attention that draws"
        )
        yield (
            ("train.reinforce.weight", "train.reinforce.entropy_weight", "train.reinforce.baseline_decay"),
            f"nothing is drawn where {why}",
            way,
        )


def _reason(key: str, idle: Iterable[tuple[tuple[str, ...], str, str]]) -> str | None:
    """Why a setting does nothing, and the ways out; None where it acts."""
    for names, why, way in idle:
        if any(key == name or (name.endswith(".") and key.startswith(name)) for name in names):
            return f"{why}; leave it out" + (f", or {way}" if way else "")
    return None


def _default(config: Config, key: str) -> object:
    section: object = config
    *parents, last = key.split(".")
    for parent in parents:
        section = getattr(section, parent)
    default = type(section).model_fields[last].default if isinstance(section, BaseModel) else None
    return list(default) if isinstance(default, tuple) else default


# What is wrong


def _explain(error: ValidationError, tree: object) -> str:
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str)]  # a place in a list is no part of a name
    kind = names.pop(2) if names[1:2] in (["encoder"], ["decoder"]) and len(names) > 2 else None
    key = ".".join(names)
    if first["type"] == "extra_forbidden":
        if others := list(
            dict.fromkeys(other for name, other, _ in fields() if name == key and other is not None)
        ):
            wanted, those = ".".join([*names[:-1], "kind"]), " or ".join(f'"{other}"' for other in others)
            return f'{key} is for {wanted}={those}: with "{kind}" there is no such setting; leave it out, or choose that kind'
        key = next(_leaves(key, first["input"]), key)
        return f"{key}: no such setting; {_meant(key, _kinds(tree))}"
    if first["type"] == "union_tag_not_found":
        return f"{key} is a section, not {_shown(first['input'])}: set {key}.kind, and what belongs to it"
    if first["type"] == "union_tag_invalid":
        return f"{key}.kind: choose {first['ctx']['expected_tags'].replace(chr(39), '')}, not {_shown(first['ctx']['tag'])}"
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    if first["type"] in ("model_type", "model_attributes_type"):
        section = key or "the whole"
        return f"{section} is a section, not {_shown(first['input'])}: set what is in it, which `seq2attn train --show` lists"
    return f"{key}: {_wanted(first['type'], first.get('ctx', {}), first['msg'], key)}, not {_shown(first['input'])}"


def _grouped(number: float) -> str:
    return f"{number:,}" if number < 1e9 or isinstance(number, int) else f"{number:g}"


def _shown(value: object) -> str:
    """A value as JSON writes it, its beginning where it is long."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists in lists in lists
        text = f"a {type(value).__name__} that is too long to be shown"
    return text if len(text) <= 80 else f"{text[:60]}..."


def _wanted(type_: str, context: Mapping[str, Any], message: str, key: str) -> str:
    """What to write instead, for a kind of error of pydantic's."""
    match type_:
        case "literal_error":
            return f"choose {context['expected'].replace(chr(39), '')}"
        case "tuple_type":
            some = next(
                json.dumps(list(choices(field.annotation))) for name, _, field in fields() if name == key
            )
            return f"write a list, of any of {some}"
        case "bool_type":
            return "write true or false"
        case "int_type" | "int_from_float":
            return "write a whole number"
        case "float_type" | "finite_number":
            return "write a number"
        case "string_type":
            return "write text, in quotes"
        case "greater_than_equal":
            return f"it must be at least {context['ge']}"
        case "greater_than":
            return f"it must be above {context['gt']}"
        case "less_than_equal":
            return f"it must be at most {_grouped(context['le'])}"
        case "less_than":
            return f"it must be below {context['lt']}"
    return f"{message[0].lower()}{message[1:]}"


def _meant(key: str, kinds: Mapping[str, object], most: int = 3) -> str:
    """What a misspelt setting may mean: one that ends as it does, one that others call so, or one of near spelling; of the kinds in use where they
    have one. Else what there is in its section."""
    every = list(dict.fromkeys(name for name, _, _ in fields()))
    here = list(
        dict.fromkeys(name for name, kind, _ in fields() if kind is None or kind == kinds[name.split(".")[1]])
    )
    typed = key.lower()
    last = typed.rsplit(".", 1)[-1]

    def ending(names: list[str], end: str) -> list[str]:
        return [name for name in names if f".{name}".endswith(f".{end}")]

    def in_its_section(names: list[str]) -> list[str]:
        return [name for name in names if name.rpartition(".")[0] == typed.rpartition(".")[0]] or names

    near = next(
        (found for names in (here, every) if (found := ending(names, typed) or ending(names, last))), []
    )
    if not near and (said := known_as(last)):
        return said
    if len(last) > 2:  # a setting cut short, as `drop`
        begin = (
            [name for name in names if name.rpartition(".")[2].startswith(last)] for names in (here, every)
        )
        near = near or in_its_section(next(filter(None, begin), []))
    for names in (here, every):
        if not near:
            ends = nearest(last, dict.fromkeys(name.rsplit(".", 1)[-1] for name in names))
            near = in_its_section([name for end in ends for name in ending(names, end)])
    if near:
        *others, final = near[:most]
        return f"did you mean {' or '.join(filter(None, (', '.join(others), final)))}?"
    section = typed.rpartition(".")[0]
    inside = [name.removeprefix(f"{section}.") for name in here if section and name.startswith(f"{section}.")]
    if inside and len(inside) <= FEW:
        return f"{section} has {', '.join(inside)}"
    return "`seq2attn train PRESET --show` lists all"


FEW = 12  # settings that an error may list


def _kinds(tree: object) -> dict[str, object]:
    """The kinds of encoder and decoder that a tree of settings names."""
    model = tree.get("model") if isinstance(tree, dict) else None
    return {
        side: _kind(model.get(side, {}) if isinstance(model, dict) else {}) for side in ("encoder", "decoder")
    }


# What there is


def fields(
    section: type[BaseModel] = Config, prefix: str = ""
) -> Iterator[tuple[str, str | None, FieldInfo]]:
    """Every setting: its name, the kind of encoder or decoder that it is for, or None where it is no matter of kinds, and what pydantic knows of it."""
    kind = (
        typing.get_args(section.model_fields["kind"].annotation)[0]
        if "kind" in section.model_fields
        else None
    )
    for name, field in section.model_fields.items():
        parts = list(_sections(field.annotation))
        if not parts:
            yield prefix + name, kind, field
        for part in parts:
            yield from fields(part, f"{prefix}{name}.")


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections(part)


def choices(annotation: object) -> Iterator[object]:
    """The values of the Literals in an annotation."""
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
    else:
        for part in typing.get_args(annotation):
            yield from choices(part)


def flat(config: Config) -> Mapping[str, object]:
    """Every setting as `section.key` -> value, in order: what `train PRESET --show` prints."""

    def walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield prefix + name, value

    return dict(walk(config.model_dump(mode="json"), ""))
