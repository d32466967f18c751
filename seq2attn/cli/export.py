"""`seq2attn export`: writes a run as a folder for another engine or as a page, and prints how to use it.

The package `export` does the work.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from seq2attn.cli import console, flags, mistaken
from seq2attn.data.marks import PLAIN
from seq2attn.errors import UsageError

if TYPE_CHECKING:
    from seq2attn.runs.directory import Run

Quantization = Literal[
    "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
]


def export(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Trained run; for ctranslate2 a Transformer.", show_default=False),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder or page to create.", show_default=False)],
    format_: Annotated[
        Literal["ctranslate2", "page", "transformers"],
        typer.Option(
            "--format",
            help="Engine to export to. ctranslate2: a folder for that engine; page: one HTML page that "
            "translates and explains in the browser; transformers: a folder of a MarianMTModel.",
        ),
    ] = "ctranslate2",
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            help="Number format of the weights for ctranslate2: " + ", ".join(get_args(Quantization)) + ".",
            metavar="TYPE",
            show_default="float32",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the exported model at OUT.")] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Export a run with its tokenizers, to use it without seq2attn.

    A model that the engine does not support is refused with the setting at fault. CTranslate2 runs
    Transformers, and needs the Python package ctranslate2. A page runs small recurrent models and
    Transformers, with at most 16 MB of weights in half precision; it needs no server and no network. The
    library transformers runs post-norm Transformers with layer norms, sinusoidal positions and biases: the
    preset vaswani17, and what was imported. OUT is created completely or not at all.
    """
    mistaken.refuse_no_run(run)
    if format_ != "ctranslate2":
        if quantization is not None:
            what = "a page holds weights in half" if format_ == "page" else "transformers gets them in single"
            raise UsageError(
                f"quantization {quantization}: {what} precision; leave it out", setting="quantization"
            )
        (_export_page if format_ == "page" else _export_transformers)(run, out, force)
        return
    from seq2attn import export as exporting

    exported = exporting.export(run, out, quantization, force)
    size = sum(file.stat().st_size for file in out.iterdir())
    console.result(f"{out}: {size / 1e6:.1f} MB for {format_}, {quantization or 'float32'}")
    console.note(
        "\n".join(
            [
                "next, in Python, after `import ctranslate2, sentencepiece`:",
                *(f"  {line}" for line in example(exported, out)),
            ]
        )
    )


def _export_page(run: str, out: Path, force: bool) -> None:
    from seq2attn import export as exporting

    exporting.export_page(run, out, force)
    size = out.stat().st_size
    console.result(f"{out}: {size / 1e6:.1f} MB for page, float16")
    large = "; it is large to send: a model with fewer tokens or layers makes a smaller one"
    console.note(f"next: open {out} in a browser{large if size > exporting.LARGE_PAGE else ''}")


def _export_transformers(run: str, out: Path, force: bool) -> None:
    from seq2attn import export as exporting

    exporting.export_transformers(run, out, force)
    size = sum(file.stat().st_size for file in out.iterdir())
    console.result(f"{out}: {size / 1e6:.1f} MB for transformers, float32")
    kinds = "(M.MarianMTModel, M.MarianTokenizer)"
    load = f"model, tokens = (kind.from_pretrained({str(out)!r}) for kind in {kinds})"
    console.note(
        "next, in Python, after `import transformers as M`:\n"
        f"  {load}\n"
        '  outputs = model.generate(**tokens(["YOUR TEXT"], return_tensors="pt"))\n'
        "  print(tokens.batch_decode(outputs, skip_special_tokens=True, use_source_tokenizer=False))"
    )


def example(run: "Run", out: Path) -> list[str]:
    """Lines of Python that translate a sentence with the search settings of the run."""
    data, search = run.config.data, run.config.search
    load = "sentencepiece.SentencePieceProcessor({})".format
    source, target = (repr(str(out / path.name)) for path in (run.source_tokenizer, run.target_tokenizer))
    rules = f"beam_size={search.beam}, disable_unk=True, min_decoding_length={search.min_length}"
    rules += f", length_penalty={search.length_penalty}" if search.length_penalty != 1 else ""
    rules += f", max_decoding_length={search.max_length}" if search.max_length is not None else ""
    rules += f", no_repeat_ngram_size={search.no_repeat_ngram}" if search.no_repeat_ngram else ""
    change = ".lower()" if data.lowercase else ""
    lines = []
    if data.normalise != "none":
        variants, plain = "".join(PLAIN), "".join(PLAIN.values())
        lines = [f"marks = str.maketrans({variants!a}, {plain!r})"]
        change += ".translate(marks)"
    translate = f"ctranslate2.Translator({str(out)!r}).translate_batch([tokens], {rules})"
    return [
        *lines,
        f"""tokens = {load(source)}.encode("YOUR TEXT"{change}, out_type=str)""",
        f"print({load(target)}.decode({translate}[0].hypotheses[0]))",
    ]
