"""`seq2attn plot-alignment`: what a model looked at, as an image, a page or blocks in the terminal."""

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seq2attn import config
from seq2attn.cli import console, flags, mistaken, plot_images
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Canvas, Heads
from seq2attn.cli.search_flags import require_attention
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import IMAGES, PAGES

if TYPE_CHECKING:
    from seq2attn.inference import Translation, Translator
    from seq2attn.plotting.alignment import Alignment

MOST_PAIRS = 200  # on one page


def plot_alignment(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A trained run; several joined by commas are an ensemble. Not needed with --from.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Argument(help="The text to translate, as --source has it.", metavar="TEXT", show_default=False),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The text to translate.", metavar="TEXT", show_default=False)
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="The image to describe; for a run that reads clips, a folder of frames or an animated image.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A translation or caption of yours, given to the model word by word (teacher forcing).",
            metavar="TEXT",
            show_default="the best it finds",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Describe an image of this prepared folder instead.", metavar="PREPARED", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split of --data.", metavar="NAME", show_default="test")
    ] = None,
    number: Annotated[
        int | None, typer.Option(help="The image in it, from 1.", min=1, metavar="N", show_default="1")
    ] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            help="Give the model that caption of the data, from 1 (teacher forcing); its boxes are drawn where there are any.",
            min=1,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Draw what `translate --attention` kept instead.",
            metavar="FILE.jsonl|FILE.npz",
            show_default=False,
        ),
    ] = None,
    line: Annotated[
        int | None,
        typer.Option(
            help="The line of --from, counted from 1.",
            min=1,
            metavar="N",
            show_default="the first; in HTML, all",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write here: .png, .svg, .pdf or .html.",
            metavar="FILE",
            show_default="drawn in the terminal",
        ),
    ] = None,
    words: Annotated[
        bool | None,
        typer.Option(
            "--words/--subwords",
            help="What stands on the axes.",
            show_default="words and punctuation; subwords where words are not spaced",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Which layer's attention, from 1; a recurrent decoder has one. With all, each is drawn.",
            metavar="N|all",
            show_default="the mean of all",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            "--heads",
            help="Which head's attention, from 1. With all, each is drawn, of every layer or of --layer N.",
            metavar="N|all",
            show_default="the mean of all",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="A title above the drawing.", metavar="TEXT", show_default=False)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Width and height of a .png, .svg or .pdf, in inches; 25x16cm in centimetres.",
            metavar="WxH",
            show_default="as the words need",
        ),
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option(help="Dots an inch of a .png.", min=20, max=1200, metavar="N", show_default="160"),
    ] = None,
    beam: flags.Beam = None,
    max_length: flags.MaxLength = None,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
    ] = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Draw the attention of a translation: a row for each target word, a column for each source word; or, of
    a caption, the image as each word saw it.

    Without -o it is drawn in the terminal, on standard output. Any script works: what no installed font has
    is written as its code points.
    """
    settings = set_ or []
    if text:
        if source is not None:
            raise UsageError(f'"{" ".join(text)}" and --source are each a text to translate: leave one out')
        source = " ".join(text)
    heads, canvas = Heads.parse(layer, head), Canvas.parse(title, size, dpi)
    asked = plot_images.Asked(image, data, split, number, reference)
    _refuse(run, source, asked, target, saved, line, output, heads, beam, max_length, settings)
    canvas.refuse(output, asked.any)
    if asked.any:
        heads.refuse_all("an image")
    if run is not None:
        mistaken.refuse_no_run(run)
        _refuse_kind(run, asked.any)
        _check_heads(run, heads)
    if asked.any:
        assert run is not None
        plot_images.draw(
            run,
            asked,
            target,
            output,
            words,
            beam,
            max_length,
            settings,
            seed,
            device,
            precision,
            allow_code,
            title,
            heads,
        )
        return
    if saved is not None:
        every = line is None and output is not None and output.suffix.lower() in PAGES
        pairs = [[alignment] for alignment in _from_file(saved, line, words, every)]
        of = saved.name
    else:
        assert run is not None
        assert source is not None
        every = False
        pairs = [
            _from_run(run, source, target, words, heads, beam, max_length, settings, seed, device, precision)
        ]
        of = run
    if not every:
        _tell(pairs[0], written=output is not None)
    _draw(pairs, output, canvas, f"Attention of {of}")


def _refuse(
    run: str | None,
    source: str | None,
    image: plot_images.Asked,
    target: str | None,
    saved: Path | None,
    line: int | None,
    output: Path | None,
    heads: Heads,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
) -> None:
    """Every request that makes no sense, before anything heavy is imported."""
    if saved is not None:
        if (
            run is not None
            or source is not None
            or target is not None
            or any(part is not None for part in image)
        ):
            raise UsageError(
                "--from draws what was kept, without a run or a text of its own: leave out RUN, --source, --target, and images"
            )
        if beam is not None or max_length is not None:
            raise UsageError("--from draws what was kept: --beam and --max-length are for a search")
        if heads.any:
            raise UsageError(
                "--from draws what was kept, the mean of the layers and heads: leave out --layer and --head, "
                "or draw from the run: plot-alignment RUN --source TEXT --heads all"
            )
        if settings:
            raise UsageError("--from draws what was kept: --set changes how a run reads; leave it out")
        if saved.suffix not in (".jsonl", ".npz"):
            raise UsageError(
                f"--from {saved}: its name must end in .jsonl or .npz, as `translate --attention` writes it"
            )
        if not saved.is_file():
            raise UserError(f"{saved}: no such file")
    elif run is None:
        raise UsageError(
            "name a RUN and --source TEXT or --image FILE, or give saved attention with --from FILE"
        )
    elif source is None and not image.any:
        image.refuse(source, target)
        raise UsageError('say what to translate: --source "TEXT", or to describe: --image FILE')
    elif source is not None and not source.strip():
        raise UsageError("--source is blank: there is nothing to align")
    elif line is not None:
        raise UsageError("--line chooses a line of --from FILE")
    image.refuse(source, target)
    if target is not None and not target.strip():
        raise UsageError("--target is blank: there is nothing to align")
    whole = "--target" if target is not None else "--reference"
    if (target is not None or image.reference is not None) and (beam is not None or max_length is not None):
        raise UsageError(f"{whole} is given whole: --beam and --max-length are for a search")
    if (target is not None or image.reference is not None) and flags.sets(
        settings, *(f"search.{name}" for name in config.SearchConfig.model_fields if name != "length_penalty")
    ):
        raise UsageError(
            f"{whole} is given whole: --set search.* is for a search, but for search.length_penalty"
        )
    flags.refuse_twice(settings, beam=beam, max_length=max_length)
    if output is not None:
        if output.suffix.lower() not in (*IMAGES, *PAGES):
            raise UsageError(f"-o {output}: its name must end in .png, .svg, .pdf or .html")
        if output.is_dir():
            raise UsageError(f"-o {output}: a folder; name a file")
        if not output.absolute().parent.is_dir():
            raise UserError(f"-o {output}: there is no folder {output.parent}; make it first")


def _refuse_kind(run: str, image: bool) -> None:
    """Raise where the run is for the other kind of source, with the option that it wants."""
    from seq2attn.runs.directory import open_run

    path = run if Path(run).is_dir() else run.split(",")[0].strip()
    if open_run(path).config.model.images != image:
        raise UsageError(
            f"{path}: it translates text: give it --source TEXT"
            if image
            else f"{path}: it describes images: give it --image FILE"
        )


def _counts(model: config.ModelConfig) -> tuple[int, int]:
    """How many layers of a decoder attend, and how many heads each has: a recurrent one has one such layer."""
    return 1 if model.decoder.kind == "rnn" else model.decoder.layers, model.attention.heads


def _check_heads(run: str, heads: Heads) -> None:
    """Raise where a run has no such layer or head."""
    if not heads.any:
        return
    from seq2attn.inference import run_paths
    from seq2attn.runs.directory import open_run

    models = [open_run(path).config.model for path in run_paths(run)]
    counts = [_counts(model) for model in models]
    for path, (layers, most) in zip(run_paths(run), counts, strict=True):
        heads.check(path, layers, most)
    if heads.every and len(set(counts)) > 1:
        raise UsageError(f"{run}: different numbers of layers or heads: draw all of one run at a time")


def _from_run(
    run: str,
    source: str,
    target: str | None,
    words: bool | None,
    heads: Heads,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
) -> "list[Alignment]":
    """What is to be drawn of one pair: one alignment, or one of each head."""
    from seq2attn.inference import MAX_SOURCE, Translator

    translator = Translator.load(run, device=device, precision=precision, settings=settings)
    heads.choose(translator)
    require_attention(run, translator, "draw")
    source = " ".join(source.splitlines())
    if target is None:
        found = translator.translate([source], beam=beam, max_length=max_length, seed=seed)[0][0]
    else:
        plot_images.refuse_long(target, translator.target_tokenizer)
        found = translator.force([source], [" ".join(target.splitlines())], seed=seed)[0]
    if found.truncated_tokens:
        console.warn(
            f"the source has {MAX_SOURCE + found.truncated_tokens:,} tokens; only the first {MAX_SOURCE:,} are read"
        )
    score = f"score {found.score:.3f}, log p {found.log_probability:.2f}"
    console.note(f"{found.text}   ({score})")
    if target is not None:
        plot_images.warn_of_unknown(target, translator.target_tokenizer)
    return [alignment._replace(score=score) for alignment in _views(translator, found, words, heads, seed)]


def _views(
    translator: "Translator", found: "Translation", words: bool | None, heads: Heads, seed: int
) -> "list[Alignment]":
    layers, most = _counts(translator.config.model)
    if not heads.every:
        alignment = _choose(*_both(found), words)
        return [alignment._replace(title=heads.name(heads.layer, heads.head, layers, most))]
    first = _choose(*_both(found), words)
    chosen = heads.chosen(layers, most)
    return [
        _choose(*_both(one, first.ends), not first.pieces)._replace(title=heads.name(*which, layers, most))
        for which, one in zip(chosen, translator.heads(found, chosen, seed), strict=True)
    ]


def _both(found: "Translation", ends: bool | None = None) -> "tuple[Alignment, Alignment | None]":
    import numpy as np

    from seq2attn.inference.attention_file import END
    from seq2attn.plotting.alignment import Alignment

    between_words = Alignment(
        found.source_words,
        found.target_words,
        found.attention if found.attention is not None else np.zeros((0, 0)),
    )
    if found.subword_attention is None or not found.target_words:
        return between_words, None
    pieces = Alignment([*found.source_subwords, END], [*found.target_subwords, END], found.subword_attention)
    return _with_punctuation(between_words, pieces, ends), pieces


def _with_punctuation(
    between_words: "Alignment", between_pieces: "Alignment | None", ends: bool | None = None
) -> "Alignment":
    """Between words and punctuation, made of what is between subwords; between white-space words as they are,
    where that cannot be."""
    from seq2attn.plotting import words

    if between_pieces is None:
        return between_words
    return (
        words.between(
            between_words.source_words,
            between_pieces.source_words[:-1],
            between_words.target_words,
            between_pieces.target_words[:-1],
            between_pieces.attention,
            ends,
        )
        or between_words
    )


def _from_file(path: Path, line: int | None, words: bool | None, every: bool) -> "list[Alignment]":
    from seq2attn.inference.attention_file import read_attention
    from seq2attn.plotting.alignment import Alignment

    entries = read_attention(path, keep_all=every)
    if every:
        found, drawn = [], 0
        for entry in entries:
            between_words = Alignment(*entry.words[:3])
            between_subwords = entry.subwords and Alignment(*entry.subwords[:3])
            if not between_words.attention.size:
                found.append(between_words._replace(line=entry.line))
                continue
            if drawn == MOST_PAIRS:
                console.warn(
                    f"{path}: only the first {MOST_PAIRS} lines are on the page; --line N chooses another"
                )
                break
            drawn += 1
            with_punctuation = _with_punctuation(between_words, between_subwords)
            chosen = _choose(with_punctuation, between_subwords, words, many=True)
            found.append(chosen._replace(line=entry.line))
        if not drawn:
            raise UserError(f"{path}: there is no attention in it")
        return found
    last = 0
    for entry in entries:
        last = entry.line
        if entry.line == (line or 1):
            between_words = Alignment(*entry.words[:3])
            if not between_words.attention.size:
                return [_choose(between_words, None, words)]
            between_subwords = entry.subwords and Alignment(*entry.subwords[:3])
            alignment = _choose(_with_punctuation(between_words, between_subwords), between_subwords, words)
            return [alignment._replace(line=entry.line)]
    raise UserError(f"{path}: has no line {line or 1}: " + (f"its last is {last}" if last else "it is empty"))


def _choose(
    between_words: "Alignment", between_pieces: "Alignment | None", words: bool | None, many: bool = False
) -> "Alignment":
    """Words or pieces, as asked for; when it is not said, pieces where a side is written without spaces
    between its words. One of many goes without notes.
    """
    if not between_words.source_words or not between_words.target_words:
        raise UserError(
            "nothing to draw: "
            + (
                "the source is empty"
                if not between_words.source_words
                else "the translation is empty; --target TEXT forces one"
            )
        )
    if words is None:
        words = between_pieces is None or not any(
            map(plot_images.unspaced, (between_words.source_words, between_words.target_words))
        )
        if not words and not many:
            console.note(
                "drawn by subwords, for a side has no spaces between its words; --words overrules this"
            )
    if words:
        return between_words
    if between_pieces is None:
        raise UserError("--subwords: the file holds no attention between pieces")
    return between_pieces._replace(ends=True, pieces=True)


def _tell(views: "list[Alignment]", written: bool) -> None:
    """Notes on what a reader of the drawing should know; what a drawing in the terminal says itself where a
    file is `written`."""
    import numpy as np

    from seq2attn.plotting.alignment import count_line, mean

    alignment = mean(views)
    if alignment.pieces:
        return
    if alignment.ends:
        weights_TS = np.asarray(alignment.attention)[:-1]
        total = len(weights_TS)
        if count := int((weights_TS[:, -1] > weights_TS[:, :-1].sum(1)).sum()):
            some = f"{count} of the {total} target words look" if total > 1 else "the target word looks"
            console.note(f"{some} mostly at the end of the sentence")
    if written and (line := count_line(alignment)):
        console.note(line)


def _draw(pairs: "list[list[Alignment]]", output: Path | None, canvas: Canvas, title: str) -> None:
    """Each pair as one alignment or one of each head; several pairs on a page alone."""
    if output is None:
        _in_the_terminal(pairs[0], canvas.title)
    elif output.suffix.lower() in PAGES:
        from seq2attn.plotting import html_alignment

        html_alignment.save(pairs, output, title if canvas.title is None else canvas.title)
    else:
        from seq2attn.plotting import heatmap

        above = canvas.title or ""
        fonts = heatmap.save_alignments(pairs[0], output, title=above, size=canvas.size, dpi=canvas.dpi)
        result_files.warn_of_fonts(fonts.unseen())
    if output is not None:
        console.note(f"wrote {output}")


def _in_the_terminal(alignments: "list[Alignment]", title: str | None) -> None:
    from seq2attn.plotting import terminal_heatmap
    from seq2attn.plotting.alignment import count_line, hardly_read, mean

    colour = console.has_colour()
    width, height = shutil.get_terminal_size((100, 0))  # a pipe has no height
    first, together = alignments[0], mean(alignments)
    hardly = hardly_read(together)
    notes = [terminal_heatmap.legend(colour, width)]
    if hardly:
        count = count_line(together, named=False).partition(":")[0]
        notes.append("\n".join(textwrap.wrap(f"(word): {count}", width)))
    if title is not None:
        console.result(terminal_heatmap.fit(title, width))
    sides = (first.source_words, first.target_words)
    if len(alignments) > 1:
        panels = [terminal_heatmap.Panel(alignment.title, alignment.attention) for alignment in alignments]
        console.result(terminal_heatmap.render_panels(panels, *sides, width, colour, hardly))
    else:
        if first.title:
            console.result(terminal_heatmap.fit(first.title, width))
        above = bool(first.title) + (title is not None)
        # the prompt, and what is noted above
        above += sum(note.count("\n") + 1 for note in notes)
        left = None if height < 1 else max(height - 3 - above, 1)
        console.result(terminal_heatmap.render(first.attention, *sides, width, colour, left, hardly))
    for note in notes:
        console.result(note)
