"""Pages of `plot-alignment`: the explorer with the answers of what is drawn.

It imports little, because the command line checks its options first.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2attn.errors import UsageError
from seq2attn.inference.heads import Heads

if TYPE_CHECKING:
    from seq2attn.cli.plot_images import Search
    from seq2attn.cli.plot_pairs import PreparedPair
    from seq2attn.explaining.explanation import Explanation
    from seq2attn.explaining.page_answers import Drawing
    from seq2attn.inference import Caption, Captioner, Translation, Translator
    from seq2attn.inference.attention_file import SavedAttention
    from seq2attn.plotting.alignment import Alignment

MOST_ATTRIBUTIONS = 20  # texts of a page that have one: each takes as long as many translations
_PARTS = ("self_attention", "candidates", "beam")


class Answers:
    """The answers of a page, as they come."""

    def __init__(self, heads: Heads, search: "Search", pair: "PreparedPair | None" = None) -> None:
        """The gold links of `pair` are shown with an output that is its target."""
        self._heads, self._search, self._pair = heads, search, pair
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._subwords = False

    def add_translation(
        self, translator: "Translator", translation: "Translation", views: "Sequence[Alignment]", few: bool
    ) -> None:
        """A translation, with what explains it. `few`: there is time for its attribution."""
        from seq2attn.explaining import page_answers
        from seq2attn.explaining.output_attribution import with_attribution
        from seq2attn.inference.alignments import Pair

        texts = translation.source, translation.text
        drawing = page_answers.of_pair(
            Pair.of_translation(translation),
            views,
            self._heads,
            _labels(views, texts[0], translation.score),
            texts,
        )
        if not self._heads.any:
            drawing = replace(drawing, attention=replace(drawing.attention, choice=translator.choice))
        drawing = replace(drawing, log_probability=translation.log_probability)
        if self._pair is not None and self._pair.target.split() == translation.text.split():
            drawing = replace(drawing, links=self._pair.links)
        explanation = self._explained(translator, translation, translation.source)
        if few and explanation is not None:
            values = with_attribution(translator, translation, "integrated").subword_attention
            assert values is not None
            drawing = replace(drawing, attribution=("integrated gradients", values))
        self._add(drawing, explanation)

    def add_caption(
        self,
        captioner: "Captioner",
        caption: "Caption",
        image: Any,
        pixels_FYX3: Any,
        view: "Alignment",
        run: str,
        where: str,
    ) -> None:
        """The caption of an image: `image` as the model reads it, pixels as people see it, and its name."""
        from seq2attn.explaining import page_answers

        labels = page_answers.Labels(where, run, [_score(caption.score)])
        pictures = page_answers.Pictures(pixels_FYX3, caption.grid, where)
        drawing = page_answers.of_caption(caption, view, self._heads, pictures, labels)
        drawing = replace(drawing, log_probability=caption.log_probability)
        if not self._heads.any:
            drawing = replace(drawing, attention=replace(drawing.attention, choice=captioner.choice))
        self._add(drawing, self._explained(captioner, caption, image))

    def add_entry(self, entry: "SavedAttention", views: "Sequence[Alignment]", run: str) -> None:
        """A line of saved attention."""
        from seq2attn.explaining import page_answers
        from seq2attn.inference.alignments import Pair

        texts = " ".join(entry.words.source_words), " ".join(entry.words.target_words)
        named = [view._replace(name=run) for view in views]
        labels = _labels(named, texts[0])
        self._add(page_answers.of_pair(Pair.of_saved(entry), named, self._heads, labels, texts))

    def add_views(self, views: "Sequence[Alignment]", text: str = "") -> None:
        """Matrices that no run explains further: self-attention, an attribution, one head."""
        from seq2attn.explaining import page_answers

        self._add(page_answers.of_views(views, _labels(views, text)))

    def add_each(self, row: "Sequence[Sequence[Alignment]]", text: str) -> None:
        """Views of one text that stand side by side, by their titles."""
        for [view] in row:
            self.add_views([view._replace(name=view.heading, title="")], text)

    def write(self, path: Path, title: str) -> None:
        """Write the page, whole or not at all."""
        from seq2attn.explaining.explanation_page import write_answers

        runs = list(dict.fromkeys(run for run, _ in self._answers))
        view: dict[str, Any] = {"runs": runs} if len(runs) > 1 else {}
        if self._subwords:
            view["unit"] = "subwords"
        if self._heads.several:
            view["open"] = ["matrix", "heads", "candidates"]
        write_answers(list(self._answers.values()), path, {"title": title, "view": view})

    def _add(self, drawing: "Drawing", explanation: "Explanation | None" = None) -> None:
        answer = drawing.to_dict(explanation)
        name, number = answer["run"], 1
        while (answer["run"], answer["label"]) in self._answers:
            number += 1
            answer["run"] = f"{name} ({number})"
        self._answers[answer["run"], answer["label"]] = answer
        self._subwords = self._subwords or drawing.views[0].subwords

    def _explained(
        self, predictor: Any, output: "Translation | Caption", source: Any
    ) -> "Explanation | None":
        """The explanation of that output; None if it is of an ensemble, or beyond the bounds of one."""
        from seq2attn.data.tokenizer import EOS
        from seq2attn.explaining.explanation import explain

        search, config = self._search, predictor.config
        own = {} if search.max_length is None else {"max_length": search.max_length}
        try:
            predictor.config = config.model_copy(update={"search": config.search.model_copy(update=own)})
            request: dict[str, Any] = {"parts": _PARTS, "beam": search.beam}
            done = explain(predictor, source, **request)
            if done.target.ids != [*output.tokens, EOS]:  # of a target that is forced
                done = explain(predictor, source, prefix=[*output.tokens, EOS], **request)
        except UsageError:
            return None
        finally:
            predictor.config = config
        return done if done.target.ids == [*output.tokens, EOS] else None


def run_name(run: str) -> str:
    """How a page names a run, or several that are an ensemble."""
    return run if "," in run else Path(run).resolve().name


def _score(score: float) -> str:
    return f"score {score:.3f}"


def _labels(views: "Sequence[Alignment]", text: str, score: float | None = None) -> Any:
    from seq2attn.explaining.page_answers import Labels

    first = views[0]
    line = "" if first.line is None else f"line {first.line}"
    text = text or " ".join(first.source_words)
    notes = [] if score is None else [_score(score)]
    return Labels(": ".join(filter(None, (line, text))), first.name, notes)
