"""A training whose subwords are drawn anew in each epoch: from a corpus to a run, and what is refused."""

from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

import seq2attn
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UsageError, UserError
from seq2attn.training.events import Update

TINY = {
    "model.embedding": 8,
    "model.encoder.size": 4,
    "model.decoder.size": 8,
    "train.batch_tokens": 200,
    "train.max_steps": 9,
    "train.validate_every": 3,
    "train.log_every": 1,
    "train.validate_sentences": 2,
    "search.max_length": 4,
}


def prepared(path: Path, tokenizer: str) -> Prepared:
    corpus = path / "corpus"
    corpus.mkdir()
    for split in ("train", "valid"):
        (corpus / f"{split}.en").write_text("\n".join(tiny.ENGLISH) + "\n")
        (corpus / f"{split}.fr").write_text("\n".join(tiny.FRENCH) + "\n")
    size = {"vocab_size": 90}
    return seq2attn.prepare(
        corpus, path / "p", source="en", target="fr", tokenizer=tokenizer, keep=("all",), **size
    )


@pytest.mark.parametrize(
    ("tokenizer", "setting"),
    [("bpe", {"train.subword_dropout": 0.2}), ("unigram", {"train.subword_alpha": 0.2})],
)
def test_training_draws_and_resumes_exactly(
    tmp_path: Path, tokenizer: str, setting: dict[str, float]
) -> None:
    folder = prepared(tmp_path, tokenizer)
    settings, weights = TINY | setting, {}
    for name, breaks in (("whole", False), ("parts", True)):
        steps = []

        def stop(event: object, breaks: bool = breaks, steps: list[object] = steps) -> bool:
            steps.extend([event] if isinstance(event, Update) else [])
            return breaks and len(steps) == 5

        seq2attn.train("first-try", folder, tmp_path / name, settings, on_event=stop)
        if breaks:
            assert steps[-1].step == 5  # type: ignore[attr-defined]
            seq2attn.train(None, None, tmp_path / name, resume=True)
        weights[name] = load_file(tmp_path / name / "training" / "9.safetensors")
    assert weights["whole"].keys() == weights["parts"].keys()
    for name, tensor in weights["whole"].items():
        assert torch.equal(tensor, weights["parts"][name]), name
    seq2attn.train("first-try", folder, tmp_path / "plain", TINY)
    plain = load_file(tmp_path / "plain" / "training" / "9.safetensors")
    assert not torch.equal(
        plain["model/encoder.embedding.weight"], weights["whole"]["model/encoder.embedding.weight"]
    )


@pytest.mark.parametrize(
    ("tokenizer", "setting", "message"),
    [
        ("unigram", "train.subword_dropout", 'data.tokenizer is "unigram": prepare the corpus with'),
        ("char", "train.subword_alpha", "or leave it out"),
        ("bpe", "train.subword_alpha", "or choose train.subword_dropout"),
        ("word", "train.subword_dropout", "or leave it out"),
    ],
)
def test_folder_of_another_tokenizer_is_refused(
    tmp_path: Path, tokenizer: str, setting: str, message: str
) -> None:
    folder = prepared(tmp_path, tokenizer)
    with pytest.raises((UserError, UsageError)) as error:
        seq2attn.train("first-try", folder, tmp_path / "run", TINY | {setting: 0.1})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
