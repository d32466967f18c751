"""Runs that copy: vocabularies that are apart, ensembles, half precision, forced targets, and training."""

import dataclasses
from pathlib import Path

import pytest
import tiny
import torch

import seq2attn
from seq2attn.config import Config
from seq2attn.data.tokenizer import UNK
from seq2attn.errors import UsageError
from seq2attn.inference import Translator
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

KINDS = {
    "recurrent": {},
    "transformer": {"kind": "transformer", "size": 12, "layers": 2, "heads": 2},
    "convolutional": {"kind": "conv", "size": 8, "layers": 2},
}
TEXTS = tiny.ENGLISH[:7]


def settings(kind: str, pointer: bool = True) -> Config:
    own = tiny.settings({"score": "general"} if kind == "recurrent" else None, **KINDS[kind])
    return own.model_copy(update={"model": own.model.model_copy(update={"pointer": pointer})})


def save(path: Path, kind: str, pointer: bool = True) -> Path:
    """A run of random weights, whose source and target vocabularies are apart."""
    path.parent.mkdir(exist_ok=True)
    of, files = settings(kind, pointer), {}
    for side in ("source", "target"):
        tiny.tokenizer(side).save(path.parent / f"{side}.bin")
        files[f"{side}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {f"{side}_size": tiny.tokenizer(side).size for side in ("source", "target")}
    run = directory.create(
        path, of, **sizes, languages=("en", "fr"), tokenizers=files, corpus="tiny", force=False
    )
    save_weights(run, tiny.model(of, sharpness=2.0))
    return path


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_loaded_run_copies_pieces_of_the_same_text(tmp_path: Path) -> None:
    translator = Translator.load(save(tmp_path / "run", "recurrent"), device="cpu")
    pointer = translator.models[0].decoder.pointer
    assert pointer is not None
    source, target = translator.source_tokenizer.vocabulary, translator.target_tokenizer.vocabulary
    assert source != target
    shared = 0
    for number, text in enumerate(source):
        copied = int(pointer.target_of[number])
        assert target[copied] == text or (copied == UNK and text not in target)
        shared += copied != UNK
    assert 20 < shared < len(source)


def test_search_gives_the_probability_of_forced_decoding(tmp_path: Path, kind: str) -> None:
    """In greedy and beam search and in samples, in any batch."""
    translator = Translator.load(save(tmp_path / "run", kind), device="cpu")
    for options in ({"beam": 1}, {"beam": 4, "n_best": 2}, {"sample": True, "n_best": 2}):
        outputs = translator.translate(TEXTS, max_length=12, **options)
        for number, (text, ranked) in enumerate(zip(TEXTS, outputs, strict=True)):
            own = translator.translate([text], max_length=12, first=number, **options)[0]
            assert [one.text for one in ranked] == [one.text for one in own]
            # products as small as these are summed in another order: see `scheduling.batches`
            assert [one.score for one in ranked] == pytest.approx([one.score for one in own], abs=1e-5)
            for one in ranked:
                if not one.finished or translator.target_tokenizer.encode(one.text) != one.tokens:
                    continue
                forced = translator.score_targets([text], [one.text])[0]
                assert forced.log_probability == pytest.approx(one.log_probability, abs=1e-4)


def test_search_without_attention_says_the_same(tmp_path: Path, kind: str) -> None:
    translator = Translator.load(save(tmp_path / "run", kind), device="cpu")
    each = [translator.translate(TEXTS, beam=3, max_length=12, attention=one) for one in ("all", False)]
    for a, b in zip(*each, strict=True):
        assert a[0].text == b[0].text
        assert a[0].score == pytest.approx(b[0].score, abs=1e-5)


def test_ensemble_is_the_mean_of_the_probabilities(tmp_path: Path, kind: str) -> None:
    """Of a model that copies and one that does not."""
    paths = [save(tmp_path / f"run{pointer}", kind, pointer) for pointer in (True, False)]
    each = [Translator.load(path, device="cpu") for path in paths]
    both = Translator.load(",".join(map(str, paths)), device="cpu")
    for text, target in zip(TEXTS[:3], ["", "", ""], strict=True):  # the end alone: one token
        ps = [one.score_targets([text], [target])[0].log_probability for one in (*each, both)]
        assert min(ps[:2]) <= ps[2] <= max(ps[:2])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_says_nearly_the_same(tmp_path: Path, kind: str, precision: str) -> None:
    run = save(tmp_path / "run", kind)
    half, whole = (Translator.load(run, device="cpu", precision=one) for one in (precision, "fp32"))
    for a, b in zip(
        half.score_targets(TEXTS, tiny.FRENCH[:7]), whole.score_targets(TEXTS, tiny.FRENCH[:7]), strict=True
    ):
        assert a.log_probability == pytest.approx(b.log_probability, rel=0.05)
    for a, b in zip(
        half.translate(TEXTS, beam=1, max_length=8), whole.translate(TEXTS, beam=1, max_length=8), strict=True
    ):
        assert a[0].text == b[0].text or a[0].log_probability == pytest.approx(b[0].log_probability, rel=0.1)


def test_output_without_generation_has_tokens_of_the_source_alone(tmp_path: Path) -> None:
    """With p_gen near 0, all tokens of the output stand in the source."""
    translator = Translator.load(save(tmp_path / "run", "recurrent"), device="cpu")
    pointer = translator.models[0].decoder.pointer
    assert pointer is not None
    torch.nn.init.constant_(pointer.gate.bias, -40)
    torch.nn.init.zeros_(pointer.gate.weight)
    for ranked in translator.translate(TEXTS, beam=1, max_length=6):
        source = translator.source_tokenizer.encode(ranked[0].source)
        assert set(ranked[0].tokens) <= set(pointer.target_of[torch.tensor(source)].tolist())


def test_pointer_cannot_be_changed_in_a_trained_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.pointer=false.*shape"):
        Translator.load(save(tmp_path / "run", "recurrent"), device="cpu", settings=["model.pointer=false"])


@pytest.mark.parametrize("joint", [True, False])
def test_training_maps_the_vocabularies_and_can_be_resumed(tmp_path: Path, joint: bool) -> None:
    for name, texts in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
        for split in ("train", "valid"):
            (tmp_path / "corpus").mkdir(exist_ok=True)
            (tmp_path / "corpus" / f"{split}.{name}").write_text("\n".join(texts) + "\n", encoding="utf-8")
    changes = {
        "data.joint": joint,
        "data.vocab_size": 64,
        "data.keep": ["all"],
        "data.source": "en",
        "data.target": "fr",
        "model.embedding": 12,
        "model.encoder.size": 8,
        "model.decoder.size": 16,
        "train.max_steps": 3,
        "train.validate_every": 2,
        "train.warmup": 1,
    }

    def train(**more: object) -> seq2attn.Run:
        return seq2attn.train("pointer", tmp_path / "corpus", settings=changes, device="cpu", **more)

    whole = train(out=tmp_path / "whole")
    parts = train(out=tmp_path / "parts", on_event=lambda event: getattr(event, "step", 0) == 2)
    parts = train(out=tmp_path / "parts", resume=True)
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    translator = seq2attn.load(whole, device="cpu")
    pointer = translator.models[0].decoder.pointer
    identity = torch.equal(pointer.target_of, torch.arange(len(pointer.target_of)))
    assert identity == joint
    assert dataclasses.is_dataclass(translator.translate(["the dog"])[0][0])
