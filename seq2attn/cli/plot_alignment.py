"""`seq2attn plot-alignment`: what a model looked at, as a picture, a page or blocks in the terminal."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seq2attn import config
from seq2attn.cli import console, mistaken, options, plot_pictures, writing
from seq2attn.cli.search_options import refuse_blind
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import PAGES, PICTURES

if TYPE_CHECKING:
    from seq2attn.inference import Translation
    from seq2attn.plotting.page import Alignment

MOST_PAIRS = 200  # on one page


def plot_alignment(
    run: Annotated[
        str | None, typer.Argument(help="A trained run; several joined by commas are an ensemble. Not needed with --from.", metavar="RUN", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option(help="The text to translate.", metavar="TEXT", show_default=False)] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="The picture to describe; for a run that reads clips, a folder of frames or an animated image.", metavar="FILE", show_default=False),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The translation or caption to force on the model.", metavar="TEXT", show_default="the best it finds")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Describe a picture of this prepared folder instead.", metavar="PREPARED", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="The split of --data.", metavar="NAME", show_default="test")] = None,
    number: Annotated[int | None, typer.Option(help="The picture in it, from 1.", min=1, metavar="N", show_default="1")] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            help="Force that of its captions on the model, from 1, and draw its boxes where the data have any.", min=1, metavar="N", show_default=False
        ),
    ] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", help="Draw what `translate --attention` kept instead.", metavar="FILE.jsonl|FILE.npz", show_default=False)
    ] = None,
    line: Annotated[int | None, typer.Option(help="The line of --from, counted from 1.", min=1, metavar="N", show_default="the first; in HTML, all")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here: .png, .svg, .pdf or .html.", metavar="FILE", show_default="drawn in the terminal")
    ] = None,
    words: Annotated[
        bool | None, typer.Option("--words/--subwords", help="What stands on the axes.", show_default="words, subwords where words are not spaced")
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="Which layer's attention, from 1; a recurrent decoder has one.", min=1, metavar="N", show_default="the mean of all")
    ] = None,
    head: Annotated[int | None, typer.Option(help="Which head's attention, from 1.", min=1, metavar="N", show_default="the mean of all")] = None,
    beam: options.Beam = None,
    max_length: options.MaxLength = None,
    set_: options.Settings = None,
    seed: options.Seed = 1,
    device: options.Device = "auto",
    precision: Annotated[Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")] = "auto",
    allow_code: options.AllowCode = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw the attention of a translation: a row for each target word, a column for each source word; or, of a caption, the picture as each word saw it.

    Without -o it is drawn in the terminal, on standard output. Any script works: what no installed font has is written as its code points.
    """
    settings = set_ or []
    picture = plot_pictures.Asked(image, data, split, number, reference)
    _refuse(run, source, picture, target, saved, line, output, layer, head, beam, max_length, settings)
    if run is not None:
        mistaken.refuse_no_run(run)
        _refuse_kind(run, picture.any)
        settings = [*settings, *_shown(run, layer, head)]
    if picture.any:
        assert run is not None
        plot_pictures.draw(run, picture, target, output, words, beam, max_length, settings, seed, device, precision, allow_code)
        return
    if saved is not None:
        chosen = _from_file(saved, line, words, every=line is None and output is not None and output.suffix.lower() in PAGES)
        title = saved.name
    else:
        assert run is not None
        assert source is not None
        chosen = [_from_run(run, source, target, words, beam, max_length, settings, seed, device, precision)]
        title = run
    _draw(chosen, output, f"Attention of {title}")


def _refuse(
    run: str | None,
    source: str | None,
    picture: plot_pictures.Asked,
    target: str | None,
    saved: Path | None,
    line: int | None,
    output: Path | None,
    layer: int | None,
    head: int | None,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
) -> None:
    """Every request that makes no sense, before anything heavy is imported."""
    if saved is not None:
        if run is not None or source is not None or target is not None or any(part is not None for part in picture):
            raise UsageError("--from draws what was kept, without a run or a text of its own: leave out RUN, --source, --target, and pictures")
        if beam is not None or max_length is not None:
            raise UsageError("--from draws what was kept: --beam and --max-length are for a search")
        if layer is not None or head is not None:
            raise UsageError("--from draws what was kept, of the layers and heads that were chosen then: leave out --layer and --head")
        if settings:
            raise UsageError("--from draws what was kept: --set changes how a run reads; leave it out")
        if saved.suffix not in (".jsonl", ".npz"):
            raise UsageError(f"--from {saved}: its name must end in .jsonl or .npz, as `translate --attention` writes it")
        if not saved.is_file():
            raise UserError(f"{saved}: no such file")
    elif run is None:
        raise UsageError("name a RUN and --source TEXT or --image FILE, or give saved attention with --from FILE")
    elif source is None and not picture.any:
        picture.refuse(source, target)
        raise UsageError('say what to translate: --source "TEXT", or to describe: --image FILE')
    elif source is not None and not source.strip():
        raise UsageError("--source is blank: there is nothing to align")
    elif line is not None:
        raise UsageError("--line chooses a line of --from FILE")
    picture.refuse(source, target)
    if target is not None and not target.strip():
        raise UsageError("--target is blank: there is nothing to align")
    whole = "--target" if target is not None else "--reference"
    if (target is not None or picture.reference is not None) and (beam is not None or max_length is not None):
        raise UsageError(f"{whole} is given whole: --beam and --max-length are for a search")
    if (target is not None or picture.reference is not None) and options.sets(
        settings, *(f"search.{name}" for name in config.Search.model_fields if name != "length_penalty")
    ):
        raise UsageError(f"{whole} is given whole: --set search.* is for a search, but for search.length_penalty")
    options.refuse_twice(settings, beam=beam, max_length=max_length)
    if output is not None:
        if output.suffix.lower() not in (*PICTURES, *PAGES):
            raise UsageError(f"-o {output}: its name must end in .png, .svg, .pdf or .html")
        if output.is_dir():
            raise UsageError(f"-o {output}: a folder; name a file")
        if not output.absolute().parent.is_dir():
            raise UserError(f"-o {output}: there is no folder {output.parent}; make it first")


def _refuse_kind(run: str, picture: bool) -> None:
    """Raise where the run is for the other kind of source, with the option that it wants."""
    from seq2attn.training.checkpoint import open_run

    path = run if Path(run).is_dir() else run.split(",")[0].strip()
    if open_run(path).config.model.pictures != picture:
        raise UsageError(f"{path}: it translates text: give it --source TEXT" if picture else f"{path}: it describes pictures: give it --image FILE")


def _shown(run: str, layer: int | None, head: int | None) -> list[str]:
    """The settings with which a run shows one layer and one head."""
    from seq2attn.training.checkpoint import open_run

    if layer is None and head is None:
        return []
    model = open_run(run if Path(run).is_dir() else run.split(",")[0].strip()).config.model
    layers, heads = 1 if model.decoder.kind == "rnn" else model.decoder.layers, model.attention.heads
    for name, value, most in (("layer", layer, layers), ("head", head, heads)):
        if value is not None and value > most:
            raise UsageError(f"--{name} {value}: the attention of {run} has {most} {name}{'s, numbered from 1' if most > 1 else ' alone'}")
    settings = [] if layer is None or model.decoder.kind == "rnn" else [f"model.decoder.weights_of={layer}"]
    return settings if head is None else [*settings, f"model.attention.shown={head}"]


def _from_run(
    run: str,
    source: str,
    target: str | None,
    words: bool | None,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
) -> "Alignment":
    from seq2attn.inference import MAX_SOURCE, Translator

    translator = Translator.load(run, device=device, precision=precision, settings=settings)
    refuse_blind(run, translator, "draw")
    source = " ".join(source.splitlines())
    if target is None:
        found = translator.translate([source], beam=beam, max_length=max_length, seed=seed)[0][0]
    else:
        found = translator.force([source], [" ".join(target.splitlines())], seed=seed)[0]
    if found.unread:
        console.warn(f"the source has {MAX_SOURCE + found.unread:,} tokens; only the first {MAX_SOURCE:,} are read")
    console.note(f"{found.text}   (score {found.score:.3f}, log p {found.log_probability:.2f})")
    if target is not None:
        plot_pictures.warn_of_unknown(target, translator.target_tokenizer)
    return _choose(*_both(found), words)


def _both(found: "Translation") -> "tuple[Alignment, Alignment | None]":
    import numpy as np

    from seq2attn.plotting.page import Alignment
    from seq2attn.plotting.saved import END

    between_words = Alignment(found.source_words, found.target_words, found.attention if found.attention is not None else np.zeros((0, 0)))
    if found.piece_attention is None or not found.target_words:
        return between_words, None
    return between_words, Alignment([*found.source_pieces, END], [*found.target_pieces, END], found.piece_attention)


def _from_file(path: Path, line: int | None, words: bool | None, every: bool) -> "list[Alignment]":
    from seq2attn.plotting.saved import read

    entries = read(path, together=every)
    if every:
        found = [entry for entry in itertools.islice(entries, MOST_PAIRS + 1) if entry.words.attention.size]
        if len(found) > MOST_PAIRS:
            console.warn(f"{path}: only the first {MOST_PAIRS} lines are on the page; --line N chooses another")
        if not found:
            raise UserError(f"{path}: there is no attention in it")
        return [_choose(entry.words, entry.pieces, words, many=True) for entry in found[:MOST_PAIRS]]
    last = 0
    for entry in entries:
        last = entry.line
        if entry.line == (line or 1):
            return [_choose(entry.words, entry.pieces, words)]
    raise UserError(f"{path}: has no line {line or 1}: " + (f"its last is {last}" if last else "it is empty"))


def _choose(between_words: "Alignment", between_pieces: "Alignment | None", words: bool | None, many: bool = False) -> "Alignment":
    """Words or pieces, as asked for; when it is not said, pieces where a side is written without spaces between its words. One of many goes without notes."""
    if not between_words.source_words or not between_words.target_words:
        raise UserError(
            "nothing to draw: " + ("the source is empty" if not between_words.source_words else "the translation is empty; --target TEXT forces one")
        )
    if words is None:
        words = between_pieces is None or not any(map(plot_pictures.unspaced, (between_words.source_words, between_words.target_words)))
        if not words and not many:
            console.note("drawn by subwords, for a side has no spaces between its words; --words overrules this")
    if words:
        if not many and between_pieces is not None and (count := _at_the_end(between_words, between_pieces)):
            total = len(between_words.target_words)
            some = f"{count} of the {total} target words look" if total > 1 else "the target word looks"
            console.note(f"{some} mostly at the end of the sentence, which the picture by words leaves out; --subwords shows it")
        return between_words
    if between_pieces is None:
        raise UserError("--subwords: the file holds no attention between pieces")
    return between_pieces


def _at_the_end(between_words: "Alignment", between_pieces: "Alignment") -> int:
    """How many target words look at the end token more than at all else together: their rows are pale between words, where it has no column."""
    import numpy as np

    weights_PS = np.asarray(between_pieces.attention)[:-1]
    beyond_P = weights_PS[:, -1] - weights_PS[:, :-1].sum(1)
    numbers = _word_numbers(between_pieces.target_words[:-1])
    if max(numbers, default=-1) + 1 != len(between_words.target_words):  # not known which piece belongs to which word
        return 0
    beyond_T = np.zeros(len(between_words.target_words))
    for number, beyond in zip(numbers, beyond_P, strict=True):
        if number >= 0:
            beyond_T[number] += beyond
    return int((beyond_T > 0).sum())


def _word_numbers(pieces: Sequence[str]) -> list[int]:
    """The word of each piece as pictures show them, that of its first character which is no space; -1 where it has none."""
    from seq2attn.data.tokenizer import SPACE

    numbers, words, inside = [], 0, False
    for piece in pieces:
        number = -1
        for character in piece:
            words += character != SPACE and not inside
            inside = character != SPACE
            if inside and number < 0:
                number = words - 1
        numbers.append(number)
    return numbers


def _draw(alignments: "list[Alignment]", output: Path | None, title: str) -> None:
    first = alignments[0]
    if output is None:
        from seq2attn.plotting import terminal

        colour, width = console.has_colour(), shutil.get_terminal_size((100, 24)).columns
        console.result(terminal.render(first.attention, first.source_words, first.target_words, width, colour))
        console.result(terminal.legend(colour))
    elif output.suffix.lower() in PAGES:
        from seq2attn.plotting import page

        page.save(alignments, output, title)
    else:
        from seq2attn.plotting import heatmap

        writing.warn_of_fonts(heatmap.save(first.attention, first.source_words, first.target_words, output).unseen())
    if output is not None:
        console.note(f"wrote {output}")
