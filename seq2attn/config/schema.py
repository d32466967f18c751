"""Every setting of a run, with its type, its default, one plain sentence, and when it acts.

`consistency` has the rules on which settings must agree. Each section lists its rules by name.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from seq2attn.config import consistency, modality, recipe
from seq2attn.config.consistency import BACKBONES, RESNETS, STAGES
from seq2attn.config.marks import MAY_CHANGE_ON_RESUME, TRAINING_ONLY, IgnoredUnless, When, setting
from seq2attn.config.modality import Modality
from seq2attn.config.own_code import AS_TEXT, FORM, NAMES_CODE, OR_CODE, is_code
from seq2attn.config.scores import FORMULAS, WITH_HIDDEN_UNITS, ScoreName, traits_of

# A run may come from a stranger. The upper bounds are above all sensible use, and below what would take
# gigabytes of memory or endless time before it fails.
MOST_TOKENS = 4096  # tokens of an output
MOST_BEAM = 1024  # hypotheses of a sentence
MOST_SAMPLES = 4096  # samples of a sentence; the choice of one compares all pairs
MOST_PENALTY = 10  # exponent of the length; with a larger one scores leave the range of floats
MOST_BATCH_TOKENS = 1_000_000
BATCH_TOKENS = 4096  # of a training batch, where nothing says more
VOCABULARY = 8000  # tokens, where nothing says more
LARGEST_VOCABULARY = 16_000  # of those that "auto" chooses

Size = Annotated[int, Field(ge=1, le=16_384)]  # units of a vector
Layers = Annotated[int, Field(ge=1, le=256)]
Heads = Annotated[int, Field(ge=1, le=1024)]
Places = Annotated[int, Field(ge=1, le=65_536)]  # positions of a source or an output
Kernel = Annotated[int, Field(ge=1, le=1023)]  # positions
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]  # number of what costs only time, such as steps
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000_000)]
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
NormaliserName = Literal["softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "hard-sample", "gumbel"]
# Faults of a pair of texts, as `data.cleaning` counts them
Reason = Literal[
    "quotes",
    "entities",
    "control",
    "placeholders",
    "same-text",
    "swapped",
    "script",
    "numbers",
    "length-ratio",
    "duplicates",
    "test-sentences",
    "all",
]
Numbers = Annotated[tuple[float, float, float], Field(strict=False)]
PositiveNumbers = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]

IMAGES = IgnoredUnless(
    "model.modality.name", "images", note="For images.", why="it is for images, and the source is {}", way=""
)
TEXT = IgnoredUnless(
    "model.modality.name", "text", note="For text.", why="it is for text, and the source is {}", way=""
)
ATTENTION = IgnoredUnless(
    "model.decoder.context_source", "attention", note="", way="choose a model with attention"
)
TRAINED_BACKBONE = IgnoredUnless("model.encoder.frozen", False, note="Not for a frozen backbone.")
RESNET = When("backbone", *RESNETS, note="For resnet18 to resnet152.")
CLIPS = When(
    "clips",
    True,
    note="For clips.",
    why="is for clips: set model.encoder.max_frames to the number of frames to read, or leave it out",
)
LEARNED = When("positions", "learned")


class Section(BaseModel):
    """A group of settings: frozen, typed, without unknown names."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
    path: ClassVar[str]  # the name of the section, with dots
    rules: ClassVar[tuple[Callable[[Any], None], ...]] = ()  # of `consistency`

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        consistency.check(self)
        return self


# What data settings are in files of versions without them
BEFORE_CLEANING: dict[str, Any] = {"keep": ["all"], "normalise": "none"}


class DataConfig(Section):
    """How a raw corpus becomes a prepared folder. `prepare` reads it, and `train` if its corpus is raw."""

    path = "data"
    rules = (consistency.markers_are_subwords,)
    source: str | None = setting(
        None, "Source side of the corpus: its file ending, column or key; not set: the corpus decides."
    )
    target: str | None = setting(
        None, "Target side of the corpus: its file ending, column or key; not set: the corpus decides."
    )
    vocab_size: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] = setting(
        VOCABULARY,
        "Vocabulary size: number of tokens, special tokens included; auto: a number that fits the number of "
        "training pairs.",
    )
    tokenizer: Literal["unigram", "bpe", "char", "word"] | None = setting(
        None,
        "Tokenizer: kind of tokens. unigram: subwords by likelihood; bpe: subwords by merges; char: "
        "characters; word: words between spaces; not set: unigram for text, word for captions.",
    )
    protect: bool = setting(
        False,
        "Markers: one stands for a placeholder, URL, e-mail address, number or tag that both sides of a pair "
        "have, so that the model learns to copy it.",
        TEXT,
    )
    joint: bool = setting(True, "Joint vocabulary: source and target share one vocabulary.", TEXT)
    lowercase: bool = setting(False, "Lowercasing: converts all text to lower case before tokenization.")
    max_length: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        256, "Maximum length: tokens of a training example; longer examples are dropped."
    )
    max_ratio: Positive = setting(
        4.0,
        "Maximum length ratio: tokens of the longer side divided by tokens of the shorter side; "
        "training pairs above it are dropped.",
        TEXT,
    )
    max_bad: Share = setting(
        0.01,
        "Malformed rows: maximum fraction of a table that is skipped; with more the table is refused.",
        TEXT,
    )
    keep: Annotated[tuple[Reason, ...], Field(strict=False)] = setting(
        (),
        "Cleaning: faults of training pairs that are left as they are, such as numbers; all: no cleaning.",
        TEXT,
    )
    normalise: Literal["source", "both", "none"] = setting(
        "source",
        "Variants of dashes, quotes and spaces: sides whose variants are read as - ' \" and a space, in "
        "training and in use.",
        TEXT,
    )
    align: Literal["corpus", "eflomal"] = setting(
        "corpus",
        "Word links of training pairs, for train.guide. corpus: those of its .align files or column, if any; "
        "eflomal: computed by that program, in both directions, and symmetrised.",
        TEXT,
    )
    max_missing: Share = setting(
        0.05,
        "Missing or damaged images: maximum fraction of a corpus that is skipped; with more the corpus is "
        "refused.",
        IMAGES,
    )
    follow_links: bool = setting(
        False, "Symbolic links: allows images that are links to files outside the corpus folder.", IMAGES
    )

    @property
    def most_tokens(self) -> int:
        """The size of a vocabulary, at most."""
        return LARGEST_VOCABULARY if self.vocab_size == "auto" else self.vocab_size


class RNNEncoderConfig(Section):
    path = "model.encoder"
    rules = (consistency.reverse_needs_one_direction,)
    kind: Literal["rnn"] = setting(
        "rnn",
        "Encoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer; image: "
        "network for images.",
    )
    cell: Cell = setting(
        "lstm",
        "Recurrent cell: kind of unit. rnn: tanh; gru: GRU (Cho 2014); lstm: LSTM (Hochreiter and "
        "Schmidhuber 1997).",
    )
    size: Size = setting(256, "State size: units of each direction.")
    layers: Layers = setting(1, "Layers: number of recurrent layers.")
    bidirectional: bool = setting(
        True, "Two directions: reads the source from left to right and from right to left."
    )
    reverse: bool = setting(False, "Reversal: reads the source from right to left only (Sutskever 2014).")


class ConvEncoderConfig(Section):
    """Gehring 2017: blocks of a 1-D convolution and a gated linear unit, with residuals.

    States have the embedding's size.
    """

    path = "model.encoder"
    rules = (consistency.kernel_is_odd,)
    kind: Literal["conv"] = setting(
        "conv",
        "Encoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer; image: "
        "network for images.",
    )
    size: Size = setting(256, "Channels: number of outputs of each convolution block.")
    layers: Layers = setting(4, "Layers: number of convolution blocks.")
    kernel: Kernel = setting(3, "Kernel width: positions that one convolution reads; an odd number.")
    positions: Literal["learned", "sinusoidal", "none"] = setting(
        "learned", "Position encoding: vectors that are added to the embeddings."
    )
    max_positions: Places = setting(
        1024, "Position vectors: number of learned vectors; later positions share the last one.", LEARNED
    )


class TransformerConfig(Section):
    """What a Transformer encoder and decoder have in common (Vaswani 2017)."""

    rules = (consistency.kv_heads_divide_heads, consistency.heads_divide_size, consistency.rotary_turns_pairs)
    kind: Literal["transformer"] = setting(
        "transformer",
        "Encoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer; image: "
        "network for images.",
    )
    size: Size = setting(256, "State size: units of each position (d_model in the paper).")
    layers: Layers = setting(3, "Layers: number of Transformer layers.")
    heads: Heads = setting(4, "Heads: number of self-attention heads.")
    kv_heads: Heads | None = setting(
        None,
        "Key and value heads: number of heads of keys and values, which several query heads share "
        "(grouped-query attention, Ainslie 2023; 1 is multi-query attention, Shazeer 2019); not set: as many "
        "as heads.",
    )
    feedforward: Annotated[int, Field(ge=1, le=65_536)] = setting(
        1024, "Feed-forward size: hidden units of the position-wise network."
    )
    activation: Literal["relu", "gelu", "silu", "swiglu"] = setting(
        "relu",
        "Activation: nonlinearity of the feed-forward network; silu is also called swish; swiglu is gated "
        "(Shazeer 2020).",
    )
    norm: Norm = setting(
        "layer", "Normalisation: kind of norm. layer: LayerNorm; rms: RMSNorm (Zhang and Sennrich 2019)."
    )
    prenorm: bool = setting(
        False,
        "Pre-norm: normalises the input of each sublayer and the output of the last layer; false: normalises "
        "the sum after each residual connection (post-norm).",
    )
    positions: Positions = setting(
        "sinusoidal",
        "Position encoding: vectors that are added to the embeddings; rotary: rotates queries and keys "
        "instead (Su 2021).",
    )
    max_positions: Places = setting(
        1024, "Position vectors: number of learned vectors; later positions share the last one.", LEARNED
    )
    bias: bool = setting(
        True,
        "Biases: adds a bias to linear maps, those of attention to the source included, and to layer norms.",
    )


class TransformerEncoderConfig(TransformerConfig):
    path = "model.encoder"


class ImageEncoderConfig(Section):
    """Xu 2015: a convolutional backbone turns an image, or each frame of a clip, into a grid of positions."""

    path = "model.encoder"
    rules = (
        consistency.backbone_is_known,
        consistency.blocks_are_stages,
        consistency.self_attention_follows_a_stage,
        consistency.batch_norm_has_published_statistics,
        consistency.published_weights_fit_the_backbone,
        consistency.frozen_backbone_is_whole_and_trained,
        consistency.image_positions_fit_the_size,
        consistency.temporal_model_fits_the_size,
    )
    kind: Literal["image"] = setting(
        "image",
        "Encoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer; image: "
        "network for images.",
    )
    backbone: str = setting(
        "resnet",
        "Backbone: network that reads the image: resnet (its size is blocks and channels), resnet18, "
        "resnet34, resnet50, resnet101 or resnet152 (He 2016), timm:NAME, or package.module:function of your "
        "own.",
    )
    weights: str | None = setting(
        None,
        "Pretrained weights: file with the backbone's weights, safetensors or a PyTorch checkpoint that "
        "holds only weights; not set: random weights.",
        TRAINING_ONLY,
    )
    blocks: Annotated[tuple[Layers, ...], Field(strict=False)] = setting(
        (1, 1, 1), "Residual blocks: number of blocks in each stage.", When("backbone", "resnet")
    )
    channels: Size = setting(
        32,
        "Channels: number of outputs of the first stage; each next stage has twice as many.",
        When("backbone", "resnet"),
    )
    stages: Annotated[int, Field(ge=1, le=STAGES)] = setting(
        STAGES,
        "Stages: number of backbone stages; after 1, 2, 3 or 4 stages a position covers 4, 8, 16 or 32 "
        "pixels a side.",
        RESNET,
    )
    norm: Literal["group", "batch"] = setting(
        "group",
        "Normalisation: kind of norm. group: group norm; batch: batch norm with the fixed statistics of the "
        "pretrained weights.",
        RESNET,
    )
    self_attention: Annotated[int, Field(ge=1, le=STAGES)] | None = setting(
        None,
        "Self-attention layer: number of the backbone stage after which it is added (Zhang 2019); not set: "
        "none.",
    )
    frozen: bool = setting(
        False, "Frozen backbone: is never trained; its features are computed once and cached.", TRAINING_ONLY
    )
    image_size: Annotated[int, Field(ge=16, le=1024)] = setting(
        96, "Image size: side of the square to which images are resized, in pixels."
    )
    resize: Literal["stretch", "crop", "pad"] = setting(
        "stretch",
        "Resizing: way to make an image square. stretch: scales both sides; crop: cuts the longer side down "
        "to its middle; pad: fills up the shorter side with grey.",
    )
    mean: Numbers = setting(
        (0.485, 0.456, 0.406), "Pixel mean: is subtracted from red, green and blue, which range from 0 to 1."
    )
    std: PositiveNumbers = setting(
        (0.229, 0.224, 0.225),
        "Pixel standard deviation: divides red, green and blue after the mean is subtracted.",
    )
    size: Size = setting(256, "State size: units of each position.")
    positions: Literal["none", "sinusoidal", "learned"] = setting(
        "none", "Position encoding: vectors of rows and columns that are added to the states."
    )
    max_frames: Annotated[int, Field(ge=1, le=256)] = setting(
        1, "Frames: maximum number of evenly spaced frames that are read from a clip; 1: still images."
    )
    temporal: Literal["mean", "rnn", "transformer"] = setting(
        "rnn",
        "Temporal model: joins the frames of a clip at each grid cell. mean: their mean; rnn: bidirectional "
        "LSTM; transformer: self-attention.",
        CLIPS,
    )
    temporal_layers: Layers = setting(
        1,
        "Temporal layers: number of layers of the temporal model.",
        CLIPS,
        When("temporal", "rnn", "transformer"),
    )
    temporal_heads: Heads = setting(
        4,
        "Temporal heads: number of attention heads of the temporal model.",
        CLIPS,
        When("temporal", "transformer"),
    )

    @property
    def clips(self) -> bool:
        return self.max_frames > 1

    @property
    def residual(self) -> bool:
        """Whether the backbone is a residual network of this package, not one of timm or of the user."""
        return self.backbone in BACKBONES

    @property
    def code(self) -> str | None:
        """The user's function that builds the backbone, `package.module:function`; None for others."""
        return None if self.residual or self.backbone.startswith("timm:") else self.backbone

    @property
    def depth(self) -> int:
        """Number of stages of a residual network."""
        return len(self.blocks) if self.backbone == "resnet" else self.stages


class RNNDecoderConfig(Section):
    path = "model.decoder"
    rules = (
        consistency.context_goes_somewhere,
        consistency.gate_needs_attention,
        consistency.context_to_a_layer_needs_two,
        consistency.input_feeding_needs_a_readout,
    )
    kind: Literal["rnn"] = setting(
        "rnn", "Decoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer."
    )
    cell: Cell = setting(
        "lstm",
        "Recurrent cell: kind of unit. rnn: tanh; gru: GRU (Cho 2014); lstm: LSTM (Hochreiter and "
        "Schmidhuber 1997).",
    )
    size: Size = setting(512, "State size: units of each layer.")
    layers: Layers = setting(1, "Layers: number of recurrent layers.")
    context_source: Literal["attention", "summary", "none"] = setting(
        "attention",
        "Context: what the decoder reads of the source. attention: attention at each step; summary: one "
        "fixed vector at each step; none: only the initial state.",
    )
    query_state: Literal["current", "previous"] = setting(
        "current",
        "Query: decoder state that attends at step i. current: s_i (Luong); previous: s_{i-1} (Bahdanau).",
        ATTENTION,
    )
    context_to: Annotated[tuple[Place, ...], Field(strict=False)] = setting(
        ("readout",),
        "Context destination: where the context goes. input: cell input; layer: next layer of the stack; "
        "readout: readout. Several are possible.",
    )
    gate: Literal["none", "scalar", "context"] = setting(
        "none",
        "Context gate: scales the context. none: no gate; scalar: one factor a step (Xu 2015, section "
        "4.2.1); context: one factor a unit (Tu 2017, source gate).",
    )
    input_feeding: bool = setting(
        False, "Input feeding: appends the readout to the input of the next step (Luong 2015, section 3.3)."
    )
    readout: Literal["linear", "tanh", "maxout"] = setting(
        "tanh",
        "Readout: hidden layer before the output layer. linear: W x; tanh: tanh(W x + b); maxout: maximum of "
        "pairs of units.",
    )
    readout_size: Size | None = setting(
        None,
        "Readout size: hidden units; not set: the decoder's size, or no hidden layer if the readout is "
        "linear.",
    )
    readout_embedding: bool = setting(False, "Readout input: appends the embedding of the last token.")
    bridge: Literal["last", "linear", "mean", "zero"] = setting(
        "linear",
        "Bridge: computes the initial decoder state. last: the encoder's last state; linear: tanh(W x + b) "
        "of that state; mean: tanh(W x + b) of the mean of the values; zero: zeros.",
    )


class ParallelDecoderConfig(Section):
    """What the convolutional and the Transformer decoder have in common: no recurrence."""

    path = "model.decoder"

    @property
    def context_source(self) -> Literal["attention"]:
        return "attention"


class ConvDecoderConfig(ParallelDecoderConfig):
    """Gehring 2017: causal convolution blocks, each with its own attention.

    Queries have the embedding's size.
    """

    kind: Literal["conv"] = setting(
        "conv", "Decoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer."
    )
    size: Size = setting(256, "Channels: number of outputs of each convolution block.")
    layers: Layers = setting(4, "Layers: number of convolution blocks.")
    kernel: Kernel = setting(
        3, "Kernel width: positions that one convolution reads, the current one and those before it."
    )
    positions: Literal["learned", "sinusoidal", "none"] = setting(
        "learned", "Position encoding: vectors that are added to the embeddings."
    )
    max_positions: Places = setting(
        1024, "Position vectors: number of learned vectors; later positions share the last one.", LEARNED
    )


class TransformerDecoderConfig(ParallelDecoderConfig, TransformerConfig):
    kind: Literal["transformer"] = setting(
        "transformer",
        "Decoder: kind of network. rnn: recurrent; conv: convolutional; transformer: Transformer.",
    )


def _kind(section: object) -> object:
    """The kind of encoder or decoder that a section describes; "rnn" if it names none."""
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
    """Attention to the source: the score, the normaliser, keys and values, heads and windows."""

    path = "model.attention"
    rules = (
        consistency.kv_heads_divide_heads,
        consistency.kernel_is_odd,
        consistency.concat_location_needs_both_queries,
        consistency.keys_are_compared,
        consistency.gaussian_window_needs_soft_weights,
        consistency.expectation_needs_one_sample,
        consistency.heads_map_the_values,
    )
    score: Annotated[ScoreName, OR_CODE, AS_TEXT] = setting(
        "additive",
        f"Score: function that compares a query s with a key h, here without biases. {FORMULAS}; or {FORM}.",
    )
    size: Size | None = setting(
        None,
        f"Attention size: hidden units of {' and '.join(WITH_HIDDEN_UNITS)} scores, or size of mapped keys, "
        "of all heads together; not set: the decoder's size.",
    )
    query_map: Map = setting(
        "linear",
        "Query map: q(s) of the keyed score. identity: s; linear: W s; nonlinear: tanh(W s + b).",
        When("score", "keyed"),
    )
    key_map: Map = setting(
        "linear",
        "Key map: k(h) of the keyed score. identity: h; linear: W h; nonlinear: tanh(W h + b).",
        When("score", "keyed"),
    )
    max_positions: Places = setting(
        256,
        "Scored positions: number of source positions that have a location score; later ones get weight 0.",
        When("score", "location", "concat-location"),
    )
    query_input: Literal["state", "embedding", "both"] = setting(
        "state",
        "Query input: vector that is compared with keys. state: decoder state; embedding: embedding of the "
        "last token; both: the two together.",
    )
    keys: Part = setting(
        "states",
        "Keys: vectors that the score compares. states: encoder states; embeddings: source embeddings; "
        "sum: their sum.",
    )
    values: Part = setting(
        "states",
        "Values: vectors whose weighted sum is the context. states: encoder states; embeddings: source "
        "embeddings; sum: their sum.",
    )
    value_map: Map = setting(
        "identity", "Value map: v(h) of each value h. identity: h; linear: W h; nonlinear: tanh(W h + b)."
    )
    heads: Heads = setting(1, "Heads: number of parallel attentions, each with its own maps (Vaswani 2017).")
    kv_heads: Heads | None = setting(
        None,
        "Key and value heads: number of heads of keys and values, which several query heads share "
        "(grouped-query attention, Ainslie 2023; 1 is multi-query attention, Shazeer 2019); not set: as many "
        "as heads.",
    )
    history: Literal["none", "coverage", "fertility", "location-aware"] = setting(
        "none",
        "History: term of the score that depends on earlier attention weights. none: no term; coverage: "
        "their sum (Tu 2016); fertility: their sum divided by a predicted fertility (Tu 2016); "
        "location-aware: convolution of the previous step's weights (Chorowski 2015).",
    )
    max_fertility: Positive = setting(
        2.0,
        "Maximum fertility: highest number of target words that may be predicted for one source word.",
        When("history", "fertility"),
    )
    filters: Size = setting(
        10,
        "Filters: number of convolution filters over the previous step's weights.",
        When("history", "location-aware"),
    )
    kernel: Kernel = setting(
        7, "Filter width: positions that one filter reads; an odd number.", When("history", "location-aware")
    )
    normaliser: Annotated[NormaliserName, OR_CODE, AS_TEXT] = setting(
        "softmax", f"Normaliser: function that turns scores into attention weights; may be {FORM}."
    )
    temperature: Positive = setting(1.0, "Temperature: divides the scores before the normaliser.")
    k: Places = setting(
        1,
        "Positions: number of source positions that are read at each step.",
        When("normaliser", "hard-topk", "hard-sample"),
    )
    expectation_prob: Share = setting(
        0.5,
        "Expectation probability: how often a training sentence uses the expected context instead of a "
        "sample.",
        When("normaliser", "hard-sample"),
    )
    at_inference: Literal["argmax", "expected", "sample"] = setting(
        "argmax",
        "Hard attention at inference: context in validation and after training. argmax: most probable "
        "position; expected: expected context; sample: sampled position.",
        When("normaliser", "hard-sample"),
    )
    window: Literal["none", "local-m", "local-p"] = setting(
        "none",
        "Window: restricts attention to nearby positions (Luong 2015, section 3.2). none: no window; "
        "local-m: positions near the number of the decoding step; local-p: positions near a predicted one.",
    )
    half_width: Places = setting(
        10,
        "Half width of the window: number of positions to either side.",
        When("window", "local-m", "local-p"),
    )

    @property
    def compares(self) -> bool:
        """Whether the score or the history reads keys. Location scores read only the query."""
        return traits_of(self.score).uses_keys or self.history == "fertility"

    @property
    def own_code(self) -> dict[str, str]:
        """The settings that name code of the user's own, and the code."""
        parts = dict(zip(NAMES_CODE, (self.score, self.normaliser), strict=True))
        return {name: part for name, part in parts.items() if is_code(part)}


class ModelConfig(Section):
    path = "model"
    rules = (
        consistency.sums_need_equal_sizes,
        consistency.encoder_is_read,
        consistency.heads_divide_attention,
        consistency.parallel_decoder_has_no_history,
        consistency.products_need_equal_sizes,
        consistency.images_have_no_embeddings,
        consistency.transformer_adds_to_the_embedding,
        consistency.last_bridge_fits,
        consistency.linear_readout_is_not_tied,
        consistency.pointer_copies_by_soft_attention,
    )
    embedding: Size = setting(256, "Embedding size: units of the vector of a token.")
    tied: Literal["none", "output", "all"] = setting(
        "output",
        "Tied embeddings: which layers share one matrix. none: none; output: target embedding and output "
        "layer; all: source embedding, target embedding and output layer.",
    )
    dropout: Share = setting(
        0.3,
        "Dropout: probability that a unit is dropped, in embeddings, between layers and in readouts.",
        TRAINING_ONLY,
    )
    init: Literal["glorot", "uniform", "bahdanau15"] = setting(
        "glorot",
        "Initialisation: distribution of the initial weights. glorot: variance by fan-in and fan-out (Glorot "
        "and Bengio 2010); uniform: between -init_range and init_range; bahdanau15: normal, standard "
        "deviation 0.01 (Bahdanau 2015, appendix B.1).",
        TRAINING_ONLY,
    )
    init_range: Positive = setting(
        0.1,
        "Initial range: largest absolute value of an initial weight.",
        IgnoredUnless("init", "uniform"),
        TRAINING_ONLY,
    )
    pointer: bool = setting(
        False,
        "Pointer: copies tokens of the source, such as those of names and numbers; the attention weights are "
        "mixed with the softmax of the output layer (See 2017).",
    )
    encoder: EncoderConfig = setting(RNNEncoderConfig(), "Encoder.")
    decoder: DecoderConfig = setting(RNNDecoderConfig(), "Decoder.")
    attention: AttentionConfig = setting(AttentionConfig(), "Attention to the source.", ATTENTION)

    @property
    def attention_layers(self) -> int:
        """Number of decoder layers with an attention to the source: one of a recurrent decoder, else all."""
        return 1 if self.decoder.kind == "rnn" else self.decoder.layers

    @property
    def modality(self) -> Modality:
        """What the sources are."""
        return modality.of_encoder(vars(self.encoder))

    @property
    def images(self) -> bool:
        """Whether sources are images, not text."""
        return self.modality == modality.IMAGES

    @property
    def grid(self) -> bool:
        """Whether source positions are the grid of an image, and no line."""
        return self.encoder.kind == "image" and not self.encoder.clips

    @property
    def foreign(self) -> bool:
        """Whether a part of the model, such as a backbone of timm, is not of this package."""
        return self.encoder.kind == "image" and not self.encoder.residual

    @property
    def attends(self) -> bool:
        """Whether there are attention weights to show. The mean of all frames of a clip has none."""
        encoder = self.encoder
        by_mean = encoder.kind == "image" and encoder.clips and encoder.temporal == "mean"
        return self.decoder.context_source == "attention" and not by_mean

    @property
    def own_code(self) -> dict[str, str]:
        """The settings that name code of the user's own which a model runs, and that code."""
        backbone = self.encoder.code if self.encoder.kind == "image" else None
        attends = self.decoder.context_source == "attention"
        return ({} if backbone is None else {"model.encoder.backbone": backbone}) | (
            self.attention.own_code if attends else {}
        )


class ReinforceConfig(Section):
    """REINFORCE: how sampled hard attention learns (Xu 2015, section 4.1)."""

    path = "train.reinforce"
    weight: NotNegative = setting(
        0.1,
        "REINFORCE weight: factor on the REINFORCE gradient; 1 is unbiased; less is biased and has lower "
        "variance.",
    )
    entropy_weight: NotNegative = setting(
        0.002,
        "Entropy bonus: factor on the entropy of the attention weights; a higher factor spreads them out.",
    )
    baseline_decay: Share = setting(
        0.9,
        "Baseline decay: factor of the moving average of rewards, which is subtracted from each reward; "
        "0: no baseline.",
    )


class SelfCriticalConfig(Section):
    """Self-critical training: sampled captions are rewarded by their CIDEr-D (Rennie 2017)."""

    path = "train.self_critical"
    rules = (consistency.mean_of_others_needs_two_samples,)
    start_step: Count | None = setting(
        None,
        "Self-critical training: step after which rewards by CIDEr-D replace the loss (Rennie 2017); not "
        "set: never.",
    )
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = setting(
        5, "Samples: number of captions that are sampled for each image.", IgnoredUnless("start_step")
    )
    baseline: Literal["greedy", "samples"] = setting(
        "samples",
        "Baseline: reward that is subtracted. greedy: that of the greedy caption; samples: mean of the other "
        "samples (Luo 2020).",
        IgnoredUnless("start_step"),
    )


ADAM = IgnoredUnless("optimizer", "adam", "adamw", "muon", way='set train.optimizer="adam"')
PLATEAU = IgnoredUnless("schedule", "plateau")


class TrainConfig(Section):
    path = "train"
    rules = (
        consistency.batch_size_is_tried_with_whole_weights,
        consistency.batch_size_is_tried_without_samples,
        consistency.compilation_is_alone,
    )
    # Length
    seed: Annotated[int, Field(ge=0, lt=2**31)] = setting(
        1, "Random seed: the same seed gives the same training."
    )
    max_steps: Count = setting(10000, "Training length: number of optimizer updates.", MAY_CHANGE_ON_RESUME)
    max_minutes: Positive | None = setting(
        None, "Maximum training time: minutes, validation included; not set: no limit.", MAY_CHANGE_ON_RESUME
    )
    # Batches
    batch_tokens: Annotated[int, Field(ge=1, le=MOST_BATCH_TOKENS)] | Literal["auto"] = setting(
        BATCH_TOKENS,
        "Batch size: maximum number of tokens of the longer side, padding included; auto: the number that "
        "fits the memory of a CUDA device, and that of the preset on a CPU.",
    )
    accumulate: Annotated[int, Field(ge=1, le=1000)] = setting(
        1, "Gradient accumulation: number of batches per update."
    )
    # Optimizer
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = setting(
        "adam",
        "Optimizer: method of the updates; adamw has decoupled weight decay (Loshchilov and Hutter 2019); "
        "muon makes the updates of hidden matrices orthogonal (Jordan 2024), with adamw for the rest.",
    )
    lr: Positive = setting(1e-3, "Learning rate: its maximum, at the end of the warm-up.")
    beta1: Share = setting(0.9, "Adam's beta 1: decay rate of the mean gradient.", ADAM)
    beta2: Share = setting(0.98, "Adam's beta 2: decay rate of the mean squared gradient.", ADAM)
    eps: Positive = setting(1e-8, "Adam's epsilon: is added to the root of the mean squared gradient.", ADAM)
    momentum: Share = setting(
        0.0,
        "Momentum: share of the last update that SGD repeats; 0: none.",
        IgnoredUnless("optimizer", "sgd"),
    )
    weight_decay: NotNegative = setting(
        0.0, "Weight decay: factor on matrices; biases and norms have none; 0: none."
    )
    clip_norm: NotNegative = setting(1.0, "Gradient clipping: maximum norm of the gradient; 0: no clipping.")
    # Learning rate
    schedule: Literal["constant", "cosine", "inverse-sqrt", "plateau"] = setting(
        "cosine",
        "Learning rate schedule: how the rate changes after the warm-up; cosine falls to 0 at max_steps or "
        "max_minutes, whichever comes first.",
    )
    warmup: CountOrZero = setting(
        200, "Warm-up: number of steps in which the learning rate rises from 0 to lr."
    )
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.5, "Plateau factor: multiplies the learning rate at each decay.", PLATEAU
    )
    plateau_patience: Count = setting(
        2, "Plateau patience: number of validations without improvement before a decay.", PLATEAU
    )
    # Loss and weights
    label_smoothing: Share = setting(
        0.1, "Label smoothing: probability mass moved from the correct token to all tokens equally."
    )
    doubly_stochastic: NotNegative = setting(
        0.0,
        "Doubly stochastic attention: weight of the penalty on positions whose attention weights, summed "
        "over all steps, differ from 1 (Xu 2015, section 4.2.1).",
    )
    guide: NotNegative = setting(
        0.0,
        "Guided attention: weight of the cross-entropy between the word links of the training pairs and the "
        "attention weights (Chen 2016; Garg 2019); 0: none.",
    )
    guide_layer: Count | None = setting(
        None,
        "Guided layer: decoder layer whose attention is guided, from 1; not set: the last but one, if there "
        "are several.",
    )
    guide_head: Count | None = setting(
        None, "Guided head: attention head that is guided, from 1; not set: the first."
    )
    guide_shift: Annotated[int, Field(ge=0, le=1)] | None = setting(
        None,
        "Guided step: step whose attention learns the links of a target word. 0: the step that writes it; 1: "
        "the next step, which reads it (Chen 2020); not set: 0 for a recurrent decoder, else 1.",
    )
    ema: Share = setting(
        0.0,
        "Moving average of the weights: decay rate; the averaged weights are validated and saved; 0: none.",
    )
    average: Annotated[int, Field(ge=1, le=1000)] = setting(
        1,
        "Checkpoint averaging: number of last validations whose weights are averaged; the mean is validated "
        "and saved; with ema it is a mean of moving averages; 1: none.",
    )
    # Regularisation
    subword_dropout: Share = setting(
        0.0,
        "Subword dropout: probability that a merge of a bpe tokenizer is skipped; each epoch cuts all "
        "training texts into subwords anew (BPE-dropout, Provilkov 2020); 0: none.",
    )
    subword_alpha: Annotated[float, Field(ge=0, le=100)] | None = setting(
        None,
        "Subword sampling: each epoch draws a cut of each training text by its probability under a unigram "
        "tokenizer, to the power of this number; the smaller, the more varied (Kudo 2018); not set: none.",
    )
    word_dropout: Share = setting(
        0.0,
        "Word dropout: probability that a token is dropped at all its places in a source, or in the input of "
        "a decoder; its embedding is then 0 (Gal and Ghahramani 2016; Sennrich and Zhang 2019).",
    )
    attention_dropout: Share = setting(
        0.0,
        "Attention dropout: probability that an attention weight is dropped, in self-attention and in "
        "attention to the source.",
    )
    r_drop: NotNegative = setting(
        0.0,
        "R-Drop: weight of the divergence between the predictions of two passes with different dropout "
        "(Liang 2021); a step takes about twice the time; 0: none.",
    )
    # Validation
    validate_every: Count = setting(
        500, "Validation interval: number of steps between validations.", MAY_CHANGE_ON_RESUME
    )
    validate_sentences: Count = setting(
        1000, "Validation sample: number of sentences that are decoded for the metric.", MAY_CHANGE_ON_RESUME
    )
    metric: Literal["bleu", "loss", "cider"] = setting(
        "bleu",
        "Validation metric: score by which the best weights are chosen. bleu: BLEU of the validation sample; "
        "loss: cross-entropy of all validation data, lower is better; cider: CIDEr-D of captions.",
    )
    patience: CountOrZero = setting(
        0,
        "Early stopping: number of validations without improvement before training ends; 0: never.",
        MAY_CHANGE_ON_RESUME,
    )
    # Images
    captions_per_image: Count | None = setting(
        None,
        "Captions: number of captions of an image in each epoch; the next epoch uses others; not set: all.",
        IMAGES,
    )
    max_crop: Share = setting(
        0.0, "Random crop: maximum fraction of each side of an image that is cut off.", IMAGES
    )
    flip: bool = setting(
        False, "Random flip: mirrors half of the images; leave it off if captions say left or right.", IMAGES
    )
    color_jitter: Share = setting(
        0.0, "Color jitter: maximum relative change of brightness, contrast and saturation.", IMAGES
    )
    unfreeze_step: CountOrZero = setting(
        0, "Unfreezing: step after which the backbone is trained, too.", IMAGES, TRAINED_BACKBONE
    )
    backbone_lr_factor: Positive = setting(
        1.0, "Backbone learning rate: factor on lr for the backbone.", IMAGES, TRAINED_BACKBONE
    )
    # Rewards
    reinforce: ReinforceConfig = setting(
        ReinforceConfig(),
        "REINFORCE: gradients of sampled hard attention.",
        IgnoredUnless(
            "model.decoder.context_source",
            "attention",
            note="",
            way="choose a model with hard-sample attention",
        ),
        IgnoredUnless("model.attention.normaliser", "hard-sample"),
    )
    self_critical: SelfCriticalConfig = setting(
        SelfCriticalConfig(), "Self-critical training: rewards of sampled captions.", IMAGES
    )
    # Machine
    shard: bool = setting(
        False,
        "Sharding: each of several processes holds a part of the weights, gradients and moments, for models "
        "that do not fit one device.",
        MAY_CHANGE_ON_RESUME,
    )
    save_every: Count | None = setting(
        None,
        "Saving interval: number of steps between saved training states; not set: each validation saves one.",
        MAY_CHANGE_ON_RESUME,
    )
    log_every: Count = setting(
        50, "Log interval: number of steps between lines of the log.", MAY_CHANGE_ON_RESUME
    )
    precision: Precision = setting(
        "auto",
        "Number format: type of the numbers in the forward pass; auto: bf16 if the device computes it "
        "natively, otherwise fp16 on a GPU with tensor cores and fp32 elsewhere.",
        MAY_CHANGE_ON_RESUME,
    )
    deterministic: bool = setting(
        False,
        "Determinism: whether a GPU computes the same bits at each run, more slowly; a CPU always does.",
        MAY_CHANGE_ON_RESUME,
    )
    cuda_graphs: bool = setting(
        False,
        "CUDA graphs: on a CUDA device the kernels of a batch are launched by one call; batches are padded "
        "to fewer shapes.",
        MAY_CHANGE_ON_RESUME,
    )

    compile: bool = setting(
        False,
        "Compilation: torch.compile fuses operations of the forward and backward pass of a model without "
        "recurrent parts; the first update takes a minute or more longer.",
        MAY_CHANGE_ON_RESUME,
    )

    @property
    def tokens_of_a_batch(self) -> int:
        """`batch_tokens` of a training that has begun: a number."""
        if self.batch_tokens == "auto":
            raise ValueError('train.batch_tokens is "auto": `tasks.training` puts a number in its place')
        return self.batch_tokens


class SearchConfig(Section):
    path = "search"
    rules = (consistency.some_length_is_allowed,)
    beam: Annotated[int, Field(ge=1, le=MOST_BEAM)] = setting(
        5, "Beam size: number of hypotheses that the search keeps; 1: greedy search."
    )
    length_penalty: Annotated[float, Field(ge=0, le=MOST_PENALTY)] = setting(
        1.0,
        "Length penalty: exponent of the length in the score log p / length ** length_penalty; the end token "
        "counts.",
    )
    min_length: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = setting(
        0, "Minimum output length: number of tokens before the end token."
    )
    max_length: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = setting(
        None,
        "Maximum output length: number of tokens; not set: 2 * source tokens + 10 for text, 50 for an image.",
    )
    no_repeat_ngram: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = setting(
        0, "Repetition: number of tokens in a sequence that may not occur twice in an output; 0: no limit."
    )
    cuda_graphs: bool = setting(
        False,
        "CUDA graphs: on a CUDA device the kernels of a step are launched by one call; batches are padded to "
        "fewer shapes.",
    )


class Config(Section):
    path = ""
    rules = (
        consistency.model_is_of_bounded_size,
        consistency.tied_embeddings_share_a_vocabulary,
        consistency.self_critical_attention_is_soft,
        consistency.cider_needs_captions,
        consistency.doubly_stochastic_needs_attention,
        consistency.guide_has_attention_to_act_on,
        recipe.sampled_subwords_fit_the_tokenizer,
        recipe.r_drop_has_passes_that_differ,
        recipe.attention_dropout_has_weights,
        consistency.compilation_is_of_a_model_without_loops,
    )
    about: str = setting(
        "", "Description: the model and its paper, in one line.", TRAINING_ONLY, MAY_CHANGE_ON_RESUME
    )
    data: DataConfig = setting(DataConfig(), "Data preparation.", TRAINING_ONLY)
    model: ModelConfig = setting(ModelConfig(), "Model.")
    train: TrainConfig = setting(TrainConfig(), "Training.", TRAINING_ONLY)
    search: SearchConfig = setting(SearchConfig(), "Search.", MAY_CHANGE_ON_RESUME)
