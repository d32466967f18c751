"""The texts of `plot-alignment`: attention of runs or of a file as rows of alignments to draw.

A row is a text, and has the attention of each run: one alignment, or one for each head.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from seq2attn.cli import console
from seq2attn.cli.output.alignments import Views
from seq2attn.cli.plot_images import Search, note_unknown_words, refuse_long_target, run_names
from seq2attn.cli.plot_pages import MOST_ATTRIBUTIONS, Answers, run_name
from seq2attn.cli.search_flags import note_choice, require_attention
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.alignments import Pair
from seq2attn.inference.attention_file import SavedAttention, read_attention
from seq2attn.inference.heads import Heads
from seq2attn.plotting import MOST_ON_A_PAGE, MOST_PANELS
from seq2attn.plotting.alignment import Alignment
from seq2attn.runs.calibration import NAME as CALIBRATION

if TYPE_CHECKING:
    from seq2attn.inference import Translation, Translator


class Text(NamedTuple):
    """A text to translate, and its line in a file."""

    text: str
    line: int | None = None


def read(source: str | None, path: Path | None, numbers: Sequence[int] | None, page: bool) -> list[Text]:
    """The text of --source, or those lines of a file; by default the first, or all for a page.

    Raises UserError, which names the line, if a line is missing or blank.
    """
    if path is None:
        assert source is not None
        return [Text(" ".join(source.splitlines()))]
    from seq2attn.data.formats.lines import read_lines

    whole = page and numbers is None
    numbers = numbers or [1]
    texts: dict[int, Text] = {}
    last = 0
    for last, text in enumerate(read_lines(path), 1):
        if last in numbers or (whole and text.strip()):
            texts[last] = Text(text, last)
        if len(texts) > MOST_ON_A_PAGE:
            texts.popitem()
            _warn_of_more(path)
            break
        if not whole and last >= max(numbers):
            break
    if whole:
        if not texts:
            raise UserError(f"{path}: has no text to translate")
        return list(texts.values())
    for number in numbers:
        if number not in texts:
            raise _no_line(path, number, last)
        if not texts[number].text.strip():
            raise UserError(f"{path}, line {number}: is blank: there is nothing to align")
    return [texts[number] for number in numbers]


def check_count(
    texts: Sequence[Text], runs: Sequence[str], target: str | None, heads: Heads, page: bool
) -> None:
    """Raise UsageError, before a run is loaded, for too many panels, or for one output of several texts."""
    if target is not None and len(texts) > 1:
        raise UsageError("--target is the output of one text: choose it with --line N")
    count, most = len(texts) * len(runs), MOST_ON_A_PAGE if page else MOST_PANELS
    if count > most:
        raise UsageError(
            f"{len(texts)} texts of {len(runs)} runs are {count} panels: {most} are the most of one drawing"
        )
    if heads.several and count > 1 and not page:
        raise UsageError(
            "--heads all draws one text of one run: choose one, or choose a head: --layer N --head N"
        )


def of_runs(
    runs: Sequence[str],
    texts: Sequence[Text],
    target: str | None,
    side: str,
    words: bool | None,
    heads: Heads,
    search: Search,
    page: Answers | None,
) -> list[list[Views]]:
    """Translate the texts with each run, or force the target, and align; or attend within one side.

    The answers of a `page` also have what explains a translation, and the words of a calibrated run have
    their confidence.
    """
    if side == "cross" and heads.any:
        for run in runs:
            heads.check_run(run)
    columns = []
    for run, name in zip(runs, run_names(runs), strict=True):
        views = _of_run(run, name, texts, target, side, words, heads, search, page)
        columns.append([[view._replace(name=name) for view in one] for one in views])
    return [list(row) for row in zip(*columns, strict=True)]


def _of_run(
    run: str,
    name: str,
    texts: Sequence[Text],
    target: str | None,
    side: str,
    words: bool | None,
    heads: Heads,
    search: Search,
    page: Answers | None,
) -> Iterator[list[Alignment]]:
    """The alignments of each text. `name` is that of the run among several, or empty."""
    translator, target = _load(run, target, search)
    if side == "cross":
        require_attention(run, translator, "draw")
        if not heads.any:
            note_choice(run, translator)
    if side == "encoder":
        translations: list[Translation | None] = [None] * len(texts)
    else:
        attention: bool | Literal["all"] = side == "cross" and ("all" if heads.any or page else True)
        sure = page is not None and side == "cross" and target is None and _is_calibrated(translator)
        sources = [text.text for text in texts]
        translations = [*_translations(translator, sources, target, search, attention, sure)]
    if target is not None and side != "encoder":
        note_unknown_words(target, translator.target_tokenizer)
    for text, translation in zip(texts, translations, strict=True):
        label = Alignment([], [], np.zeros((0, 0)), name=name, line=text.line).heading
        where = f"{label}: " if label else ""
        if side == "cross":
            assert translation is not None
            score = _note(translation, where)
            views = Pair.of_translation(translation).alignments(heads, words, where=run, way_out="")
            views = [view._replace(score=score) for view in views]
            note_subwords(views, words, where)
        else:
            from seq2attn.cli import plot_self_attention

            output = None if translation is None else translation.text
            if output is not None and target is None:
                console.note(where + output)
            views = plot_self_attention.alignments(translator, run, text.text, output, words, heads)
        views = [view._replace(line=text.line) for view in views]
        if page is not None:
            named = [view._replace(name=name or run_name(run)) for view in views]
            if side == "cross":
                assert translation is not None
                page.add_translation(translator, translation, named, len(texts) <= MOST_ATTRIBUTIONS)
            else:
                page.add_views(named, text.text if side == "encoder" else "")
        yield views


def _load(run: str, target: str | None, search: Search) -> "tuple[Translator, str | None]":
    """The translator of a run, and the target that is forced on it, if any, as one line."""
    from seq2attn.inference import Translator

    translator = Translator.load(
        run,
        device=search.device,
        precision=search.precision,
        settings=search.settings,
        allow_code=search.allow_code,
    )
    if target is not None:
        refuse_long_target(target, translator.target_tokenizer)
        target = " ".join(target.splitlines())
    return translator, target


def translate_one(
    run: str, text: str, target: str | None, search: Search
) -> "tuple[Translator, Translation]":
    """The translator of a run, and its translation with the attention of all heads, or the forced target."""
    translator, target = _load(run, target, search)
    require_attention(run, translator, "draw")
    [translation] = _translations(translator, [text], target, search, "all", confidence=False)
    if target is not None:
        note_unknown_words(target, translator.target_tokenizer)
    _note(translation, f"{run}: ")
    return translator, translation


def _translations(
    translator: "Translator",
    sources: list[str],
    target: str | None,
    search: Search,
    attention: bool | Literal["all"],
    confidence: bool,
) -> "list[Translation]":
    if target is not None:
        targets = [target] * len(sources)
        return translator.score_targets(sources, targets, seed=search.seed, attention=attention)
    results = translator.translate(
        sources,
        beam=search.beam,
        max_length=search.max_length,
        seed=search.seed,
        attention=attention,
        confidence=confidence,
    )
    return [best[0] for best in results]


def _is_calibrated(translator: "Translator") -> bool:
    """Whether the run knows how sure it is of its words; a warning says if its calibration is of no use."""
    if translator.run is None or not (translator.run / CALIBRATION).exists():
        return False
    try:
        translator.calibration()
    except UserError as error:
        console.warn(f"{error}; words are not shaded")
        return False
    return True


def _note(translation: "Translation", where: str) -> str:
    """Note the translation and its score, which is returned, and how much of the text was not read."""
    from seq2attn.inference import MAX_SOURCE

    if translation.truncated_tokens:
        console.warn(
            f"{where}the source has {MAX_SOURCE + translation.truncated_tokens:,} tokens; "
            f"only the first {MAX_SOURCE:,} are read"
        )
    score = f"score {translation.score:.3f}, log p {translation.log_probability:.2f}"
    console.note(f"{where}{translation.text}   ({score})")
    return score


def note_subwords(views: Sequence[Alignment], words: bool | None, where: str = "") -> None:
    """Note that subwords are drawn because a language has no spaces."""
    if words is None and views[0].subwords:
        console.note(
            f"{where}drawn by subwords: one side has no spaces between its words; --words overrides this"
        )


def of_file(
    path: Path, numbers: Sequence[int] | None, words: bool | None, heads: Heads, page: Answers | None
) -> list[list[Views]]:
    """Those lines of a file of saved attention; by default the first, or all for a page."""
    if page and numbers is None:
        return [[views] for views in _whole_file(path, words, heads, page)]
    numbers = numbers or [1]
    if heads.several and len(numbers) > 1 and not page:
        raise UsageError("--heads all draws one line: choose it with --line N, or give a head: --head N")
    lines: dict[int, list[Alignment]] = {}
    entries: dict[int, SavedAttention] = {}
    last = 0
    for entry in read_attention(path):
        last = entry.line
        if entry.line in numbers:
            where = f"line {entry.line}: " if len(numbers) > 1 else ""
            entries[entry.line], lines[entry.line] = entry, _of_entry(entry, path, words, heads)
            note_subwords(lines[entry.line], words, where)
        if len(lines) == len(numbers):
            break
    missing = next((number for number in numbers if number not in lines), None)
    if missing is not None:
        raise _no_line(path, missing, last)
    if page is not None:
        for number in numbers:
            page.add_entry(entries[number], lines[number], path.name)
    return [[lines[number]] for number in numbers]


def _whole_file(path: Path, words: bool | None, heads: Heads, page: Answers) -> list[Views]:
    """Every line of a file, up to MOST_ON_A_PAGE, without those that have no weights."""
    pairs: list[Views] = []
    count = 0
    for entry in read_attention(path, keep_all=True):
        if not entry.words.attention.size:
            continue
        if count == MOST_ON_A_PAGE:
            _warn_of_more(path)
            break
        count += 1
        pairs.append(_of_entry(entry, path, words, heads))
        page.add_entry(entry, pairs[-1], path.name)
    if not count:
        raise UserError(f"{path}: there is no attention in it")
    return pairs


def _of_entry(entry: SavedAttention, path: Path, words: bool | None, heads: Heads) -> list[Alignment]:
    way_out = "write all heads: translate --attention FILE --attention-heads all"
    views = Pair.of_saved(entry).alignments(heads, words, where=str(path), way_out=way_out)
    return [view._replace(line=entry.line) for view in views]


def _no_line(path: Path, number: int, last: int) -> UserError:
    return UserError(f"{path}: has no line {number}: " + (f"its last is {last}" if last else "it is empty"))


def _warn_of_more(path: Path) -> None:
    console.warn(f"{path}: only the first {MOST_ON_A_PAGE} lines are on the page; --line N chooses another")
