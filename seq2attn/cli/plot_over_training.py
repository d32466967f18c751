"""The film of `plot-alignment --over-training`: attention at each validation of a training."""

from pathlib import Path

from seq2attn.cli import console, mistaken
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Canvas
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.heads import Heads
from seq2attn.plotting import IMAGES, PAGES

FILMS = (".gif",)


def _checked(output: Path | None) -> Path:
    """The file to write. Raises UsageError or UserError if no film can be written to it."""
    if output is None:
        raise UsageError("--over-training needs a file: name one with -o, .html, .gif or .png")
    if output.suffix.lower() not in (*FILMS, *IMAGES, *PAGES):
        raise UsageError(f"-o {output}: --over-training is written as .html, .gif, .png, .svg or .pdf")
    if output.is_dir():
        raise UsageError(f"-o {output}: a folder; name a file")
    if not output.absolute().parent.is_dir():
        raise UserError(f"-o {output}: there is no folder {output.parent}; make it first")
    return output


def draw(run: str | None, heads: Heads, output: Path | None, words: bool | None, canvas: Canvas) -> None:
    """Draw what the run has logged of its attention: a page, an animation or a strip."""
    if run is None:
        raise UsageError("--over-training needs a RUN, whose training it draws")
    output = _checked(output)
    mistaken.refuse_no_run(run)
    from seq2attn.tasks import film

    canvas.check(output, of_image=False)
    if canvas.size is not None:
        raise UsageError("--size: --over-training has a size of its own; leave it out")
    own = film.of_run(run, heads, words)
    name = Path(run).resolve().name
    title = canvas.title or ": ".join(filter(None, (f"Attention of {name} over its training", own.attention)))
    ending = output.suffix.lower()
    if ending in PAGES:
        from seq2attn.plotting import html_film

        html_film.save(own.scenes, own.steps, own.charts, output, title)
    else:
        from seq2attn.plotting import film as drawing
        from seq2attn.plotting.style import Style

        style = canvas.style() or Style()
        if ending in FILMS:
            fonts = drawing.save_animation(own.scenes, own.steps, own.charts, output, title, style)
        else:
            fonts = drawing.save_strip(own.scenes, own.steps, own.charts, output, title, style, canvas.dpi)
        result_files.warn_of_fonts(fonts.unseen())
    console.note(f"wrote {output}")
