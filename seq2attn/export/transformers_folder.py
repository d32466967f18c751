"""A run as a folder that `MarianMTModel.from_pretrained` and `MarianTokenizer.from_pretrained` load.

The folder is complete or does not exist. This module needs no transformers.
"""

import json
from pathlib import Path
from typing import Any

from seq2attn import files
from seq2attn.data.tokenizer import SPECIALS
from seq2attn.errors import UserError
from seq2attn.export import existing, transformers_limits
from seq2attn.inference import Translator, run_paths
from seq2attn.marian import settings, vocabulary, weights
from seq2attn.runs.directory import Run, open_run
from seq2attn.runs.tensors import named_tensors, write_tensors

WEIGHTS = "model.safetensors"
FILES = {
    *("config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "target_vocab.json"),
    *("source.spm", "target.spm", WEIGHTS),
}


def export_transformers(path: str | Path, out: Path, force: bool = False) -> Run:
    """Write the run at `path` to the folder `out` as a `MarianMTModel` in float32. Returns the run.

    Raises UserError if there is no trained run or several, if the model is of another kind, and if `out`
    exists, unless it is such a folder and `force` replaces it.
    """
    if len(run_paths(path)) > 1:
        raise UserError(f"{path}: an ensemble is no MarianMTModel; name one run")
    run = open_run(path)
    transformers_limits.refuse(run.config, str(run.path))
    marks = existing.Marks("is no model of transformers", "vocab.json", frozenset(FILES))
    existing.refuse(out, force, marks)
    translator = Translator.load(run.path, device="cpu")
    source, target = translator.source_tokenizer, translator.target_tokenizer
    sizes = tuple(len(vocabulary.order_of(one.size)) for one in (source, target))
    separate = source.vocabulary != target.vocabulary
    tree = settings.write(run.config, (sizes[0], sizes[1]), vocabulary.OWN_IDS)
    search = settings.write_search(run.config, vocabulary.OWN_IDS)
    facts, _ = settings.read(tree, search, str(run.path))
    tensors = weights.to_marian(
        named_tensors(translator.members[0].model),
        facts,
        vocabulary.order_of(source.size),
        vocabulary.order_of(target.size),
    )
    with files.replace_folder(out, lambda: existing.refuse(out, force, marks)) as new, files.refused(out):
        _write(new / "config.json", tree)
        _write(new / "generation_config.json", search)
        _write(new / "tokenizer_config.json", _tokenizer_facts(run, separate))
        for tokenizer, name, side in (
            (source, "vocab.json", "source"),
            (target, "target_vocab.json", "target"),
        ):
            if side == "source" or separate:
                _write(new / name, vocabulary.numbered(tokenizer.vocabulary[len(SPECIALS) :]))
            files.write(new / f"{side}.spm", tokenizer.model)
        write_tensors(new / WEIGHTS, tensors, {"format": "pt"})
    return run


def _write(file: Path, tree: Any) -> None:
    files.write(file, (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode())


def _tokenizer_facts(run: Run, separate: bool) -> dict[str, Any]:
    return {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": run.languages[0],
        "target_lang": run.languages[1],
        "separate_vocabs": separate,
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "model_max_length": 512,
    }
