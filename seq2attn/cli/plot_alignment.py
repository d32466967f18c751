"""`seq2attn plot-alignment`: attention as a drawing in the terminal, an image or a page."""

from seq2attn.cli import flags, mistaken, plot_images, plot_pages, plot_pairs, search_flags
from seq2attn.cli import plot_options as options
from seq2attn.cli.conflicts import check, set_options
from seq2attn.cli.plot_flags import Canvas
from seq2attn.errors import UsageError
from seq2attn.inference.heads import Heads
from seq2attn.plotting import MOST_ON_A_PAGE, MOST_PANELS, PAGES


def plot_alignment(
    run: options.Run = None,
    text: options.More = None,
    source: options.Source = None,
    image: options.Image = None,
    target: options.Target = None,
    data: options.Data = None,
    split: options.Split = None,
    number: options.Number = None,
    reference: options.Reference = None,
    saved: options.From = None,
    lines: options.Line = None,
    output: options.Output = None,
    words: options.Words = None,
    layer: options.Layer = None,
    head: options.Head = None,
    attention_of: options.AttentionOf = "cross",
    compare: options.Compare = None,
    over_training: options.OverTraining = False,
    title: options.Title = None,
    size: options.Size = None,
    dpi: options.Dpi = None,
    colormap: options.Colormap = None,
    font: options.Font = None,
    beam: search_flags.Beam = None,
    max_length: search_flags.MaxLength = None,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: options.Format = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Draw attention weights. For a translation, draw a matrix: a row per target word, a column per source
    word. For a caption, draw the image once per word, bright where the attention is high.

    Several sentences (--from FILE --lines 1,4,7) and several runs (RUN RUN --source TEXT) share one drawing.

    Without -o the drawing goes to the terminal (standard output). Characters that no installed font has are
    written as code points.
    """
    settings = set_ or []
    heads, canvas = Heads.parse(layer, head), Canvas.parse(title, size, dpi, colormap, font)
    image_options = plot_images.ImageOptions(image, data, split, number, reference)
    given = (source, saved, image, data)
    runs, text = options.runs_and_text(run, text, any(one is not None for one in given))
    of_saved = saved is not None and (run is None or saved.suffix in options.SAVED)
    values: dict[str, object] = {
        "RUN": run,
        "TEXT": text,
        "--source": source,
        "--target": target,
        "--from": saved,
        "--line": lines,
        "--beam": beam,
        "--max-length": max_length,
        "--set": settings,
        "--attention-of": None if attention_of == "cross" else attention_of,
        "--compare": compare,
        "--over-training": over_training,
    }
    values |= {f"--{name}": value for name, value in image_options._asdict().items()}
    check(options.rules(of_saved), values | set_options(settings))
    if over_training:
        from seq2attn.cli import plot_over_training

        plot_over_training.draw(run, heads, output, words, canvas)
        return
    source = " ".join(text) if text else source
    pair = plot_pairs.of_data(image_options)
    if pair is not None:
        source, target = pair.source, pair.target if pair.is_forced else target
    of_image = image is not None or (data is not None and pair is None)
    options.check_inputs(run, source, target, saved, of_image)
    options.check_output(output)
    canvas.check(output, of_image)
    if of_image and heads.several:
        raise UsageError("--heads all is for texts: of an image choose one at a time: --layer N --head N")
    is_page = output is not None and output.suffix.lower() in PAGES
    numbers = options.line_numbers(lines, MOST_ON_A_PAGE if is_page else MOST_PANELS)
    for one in runs:
        mistaken.refuse_no_run(one)
    options.check_kind(runs, of_image)
    canvas.style()
    search = plot_images.Search(beam, max_length, settings, seed, device, precision, allow_code)
    page = plot_pages.Answers(heads, search, pair) if is_page else None
    if of_image:
        plot_images.draw(runs, image_options, target, heads, output, words, search, canvas, page)
        return
    from seq2attn.cli import plot_texts
    from seq2attn.cli.output import alignments

    if compare:
        from seq2attn.cli import plot_comparison

        assert source is not None
        views, text_ = plot_comparison.parse(compare, runs, heads), " ".join(source.splitlines())
        rows = plot_comparison.side_by_side(runs[0], views, text_, target, words, search)
        name = plot_pages.run_name(runs[0])
        if page is not None:
            page.add_each(rows[0], text_)
    elif of_saved:
        assert saved is not None
        rows = plot_texts.of_file(saved, numbers, words, heads, page)
        name = saved.name
    else:
        texts = plot_texts.read(source, saved, numbers, is_page)
        plot_texts.check_count(texts, runs, target, heads, is_page)
        rows = plot_texts.of_runs(runs, texts, target, attention_of, words, heads, search, page)
        name = ", ".join(map(plot_pages.run_name, runs))
    kind = "Attention" if attention_of == "cross" else f"{attention_of.capitalize()} self-attention"
    if attention_of != "cross" and canvas.title is None:
        canvas = canvas._replace(title=f"{kind} of {name}")
    # a page of a whole file may hold hundreds of lines
    notes = not (is_page and saved is not None and numbers is None)
    alignments.draw(rows, output, canvas, f"{kind} of {name}", notes, page)
