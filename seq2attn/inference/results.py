"""What inference returns: `Translation` and `Caption`, with the text and the attention of a hypothesis.

Probabilities are natural logs. Attention is None if the model has none or the caller did not ask for it.
Shapes: T target words, U target subwords, S source words (or positions of an image), R source subwords, L
decoder layers with attention, H heads of each. The weights of a target word are the mean over its subwords;
a source word gets the sum over its subwords.

Both draw themselves, and show themselves in a notebook. The drawing code, and matplotlib, are imported then.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy import float32, float64
from numpy.typing import NDArray

from seq2attn.errors import UsageError

if TYPE_CHECKING:
    from seq2attn.data.images.visible import View
    from seq2attn.inference.drawing import Axes, Colormap, Figure, Image

Weights = NDArray[float32]


@dataclass(frozen=True)
class Translation:
    """A translation of one text.

    Shapes: T target words, S source words, U target subwords, R source subwords, L decoder layers with
    attention, H heads of each. Rows of attention are target words or subwords, and each adds up to 1 at most.
    Attention is None if the model has none, or if the caller did not ask for it.
    """

    source: str
    text: str
    score: float  # log_probability / length ** length_penalty; with a utility, the mean utility
    log_probability: float  # natural log, of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # of the target, without BOS and EOS
    source_subwords: list[str] = field(default_factory=list)
    target_subwords: list[str] = field(default_factory=list)
    # (U+1, R+1), the mean over layers and heads; the end tokens come last
    subword_attention: Weights | None = field(default=None, compare=False)
    source_words: list[str] = field(default_factory=list)  # white-space words of the raw source
    target_words: list[str] = field(default_factory=list)
    attention: Weights | None = field(default=None, compare=False)  # (T, S), the mean over layers and heads
    finished: bool = True  # False: cut at the maximum length
    # source tokens beyond the limit, which the model did not read; at least so many, if the text was also
    # cut at MAX_CHARACTERS
    truncated_tokens: int = 0
    unforced: int = 0  # tokens of the prefix that were dropped because they exceed the longest output
    # (L, H, T, S) and (L, H, U+1, R+1): with attention="all"
    attention_heads: Weights | None = field(default=None, compare=False)
    subword_attention_heads: Weights | None = field(default=None, compare=False)
    # (T,): the probability that each word is right; None unless it was asked for
    confidence: NDArray[float64] | None = field(default=None, compare=False)
    # (T, F): the numbers `inference.confidence.FEATURES`, which it is computed from
    confidence_features: NDArray[float64] | None = field(default=None, compare=False)
    # those of its sentences, if they were translated one by one
    sentences: "tuple[Translation, ...]" = field(default=(), compare=False, repr=False)

    def alignment(self) -> list[tuple[int, int]]:
        """(source word, target word), counted from 0, in target order.

        Each target word has the source word with the largest weight, or none if all its weights are 0.
        """
        if self.attention is None or self.attention.size == 0:
            return []
        best, weight = self.attention.argmax(1), self.attention.max(1)
        return [(int(source), target) for target, source in enumerate(best) if weight[target] > 0]

    def unread(self) -> list[int]:
        """The source words, counted from 0, that were hardly read: what was likely left out.

        Their weights add up to less than `plotting.alignment.HARDLY` over all target words. Punctuation does
        not count. Raises UsageError without attention.
        """
        from seq2attn.plotting.alignment import Alignment, hardly_read

        if self.attention is None:
            raise UsageError("which words were read is known by the attention alone, and there is none")
        if not self.attention.size:
            return []
        return hardly_read(Alignment(self.source_words, self.target_words, self.attention))

    def plot(
        self,
        layer: int | str | None = None,
        head: int | str | None = None,
        ax: "Axes | None" = None,
        *,
        words: bool | None = None,
        title: str = "",
        size: tuple[float, float] | None = None,
        colormap: "str | Colormap | None" = None,
        font: str | None = None,
    ) -> "Figure":
        """The attention as a heat map: a row for each target word, a column for each source word.

        Returns a matplotlib figure, which a notebook shows and whose `savefig` writes a file. With `ax`, it
        draws into these axes and returns their figure.

        `layer` and `head` count from 1; None is the mean over all, and "all" draws each of them in a panel.
        They need attention="all" in `translate`. `words` chooses words (True) or subwords (False); None:
        words, but subwords for a language without spaces. `size` is width and height in inches; None: as the
        words need. `colormap` is the name of a colour map of matplotlib, such as "viridis", or the colour map
        itself. `font` is the name of an installed font.

        Raises UsageError if there is no such layer, head, colour map or font, if the size is too small, or if
        the attention was not asked for; UserError if a side is empty.
        """
        from seq2attn.inference.drawing import plot_translation

        return plot_translation(
            self, layer, head, ax, words=words, title=title, size=size, colormap=colormap, font=font
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the mean attention to explore or, without attention, the texts."""
        from seq2attn.inference.notebook import translation_html

        return translation_html(self)


@dataclass(frozen=True)
class Caption:
    """A caption of one image or clip.

    Shapes: T words, U subwords, S positions of the image or frames of the clip, L decoder layers with
    attention, H heads of each. Attention is None if the model has none, or if the caller did not ask for it.
    """

    text: str
    score: float  # log_probability / length ** length_penalty; with a utility, the mean utility
    log_probability: float  # of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # without BOS and EOS
    subwords: list[str] = field(default_factory=list)
    # (U+1, S), the mean over layers and heads; the end token comes last
    subword_attention: Weights | None = field(default=None, compare=False)
    words: list[str] = field(default_factory=list)  # white-space words of the text
    attention: Weights | None = field(default=None, compare=False)  # (T, S), the mean over layers and heads
    # rows and columns of the S positions, row by row; None: the positions are the frames of a clip
    grid: tuple[int, int] | None = None
    finished: bool = True  # False: cut at the maximum length
    # (L, H, T, S) and (L, H, U+1, S): with attention="all"
    attention_heads: Weights | None = field(default=None, compare=False)
    subword_attention_heads: Weights | None = field(default=None, compare=False)
    image: str | None = field(default=None, compare=False)  # absolute path; None: it was bytes or pixels
    view: "View | None" = field(default=None, compare=False)  # the part of an image that the model sees
    # (T,) and (T, F): see `Translation`
    confidence: NDArray[float64] | None = field(default=None, compare=False)
    confidence_features: NDArray[float64] | None = field(default=None, compare=False)

    def plot(
        self,
        image: "Image | None" = None,
        layer: int | str | None = None,
        head: int | str | None = None,
        ax: "Axes | None" = None,
        *,
        words: bool | None = None,
        title: str = "",
        colormap: "str | Colormap | None" = None,
        font: str | None = None,
    ) -> "Figure":
        """The attention of each word: the image once per word, lit where the word attends.

        Of a clip it is the strip of its frames and a row of cells for each word. Returns a matplotlib figure
        with all these panels, which has a size of its own. With `ax`, the whole of it is drawn into these
        axes as one image, whose proportions stay, and the figure of the axes is returned.

        `image` is a path, the bytes of a file, or the pixels (Y, X, 3), of a clip (F, Y, X, 3), uint8. None:
        the file that was captioned, if it was given by its path. `layer` and `head` are numbers from 1, and
        need attention="all" in `caption`; None is the mean over all. `colormap` is for clips; attention on
        an image is light. The other arguments: see `Translation.plot`.

        Raises UsageError if the caption does not know its image, has no attention, or has no such layer or
        head; UserError if the caption is empty or its file cannot be read.
        """
        from seq2attn.inference.drawing import plot_caption

        return plot_caption(
            self, image, layer, head, ax, words=words, title=title, colormap=colormap, font=font
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the mean attention on the image to explore, or the text if there is none."""
        from seq2attn.inference.notebook import caption_html

        return caption_html(self)
