"""A Marian model of transformers and the run that is imported from it compute the same: tokens, logits,
greedy outputs and attention; and folders that are not what they should be are refused in one line.
"""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import marian_folders
import numpy as np
import pytest
import tiny
import torch

from seq2attn.data.tokenizer import BOS, EOS, PAD, SPECIALS, UNK, Tokenizer
from seq2attn.errors import UserError
from seq2attn.export import export_transformers
from seq2attn.inference import Translator
from seq2attn.marian.folder import import_folder
from seq2attn.runs.tensors import save_weights

LONGEST = 12
MODELS: dict[str, dict[str, Any]] = {
    "one embedding": {},
    "two embeddings": {"shared": False},
    "no embedding tied": {"tied": False},
    "two, none tied": {"shared": False, "tied": False},
    "no bias, not scaled": {"bias": False, "scaled": False},
    "two, not scaled": {"shared": False, "scaled": False},
    "none tied, not scaled": {"tied": False, "scaled": False},
    "codes, relu": {"codes": True, "activation_function": "relu", "seed": 2},
    "merges, gelu": {"kind": "bpe", "activation_function": "gelu"},
}


class Both:
    """A model of transformers, and the translator of the run that is imported from its folder."""

    def __init__(self, folder: Path) -> None:
        self.peer = marian_folders.Peer(folder)
        self.run = import_folder(folder, folder / "run", "tests")
        self.translator = Translator.load(self.run, device="cpu")
        tree = json.loads((folder / "vocab.json").read_text())
        other = folder / "target_vocab.json"
        self.source = self._places(tree, self.translator.source_tokenizer)
        self.target = self._places(
            json.loads(other.read_text()) if other.exists() else tree, self.translator.target_tokenizer
        )

    def _places(self, tree: dict[str, int], tokenizer: Tokenizer) -> dict[int, int]:
        """Our number -> theirs."""
        pad = BOS if tree["<pad>"] == self.peer.model.config.decoder_start_token_id else PAD
        own = {UNK: tree["<unk>"], pad: tree["<pad>"], EOS: tree["</s>"]}
        return own | {i: tree[name] for i, name in enumerate(tokenizer.vocabulary) if i >= len(SPECIALS)}

    def ids(self, text: str) -> list[int]:
        return [self.source[i] for i in [*self.translator.source_tokenizer.encode(text), EOS]]

    def ids_here(self, text: str) -> list[int]:
        return [*self.translator.source_tokenizer.encode(text), EOS]

    def greedy(self, texts: list[str]) -> list[list[int]]:
        outputs = self.translator.translate(texts, beam=1, max_length=LONGEST)
        return [[self.target[token] for token in output.tokens] for [output] in outputs]

    def logits(self, source: list[int], target: list[int]) -> torch.Tensor:
        """With the columns of the peer."""
        back = [{theirs: own for own, theirs in side.items()} for side in (self.source, self.target)]
        ids = torch.tensor([[back[0][token] for token in source]])
        inputs = torch.tensor([[BOS, *(back[1][token] for token in target)]])
        with torch.no_grad():
            model = copy.deepcopy(self.translator.members[0].model).double()
            logits: torch.Tensor = model(ids, ids != PAD, inputs).logits[0]
        return logits[:, [back[1][token] for token in range(len(back[1]))]]


@pytest.fixture(scope="module", params=MODELS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(marian_folders.make(tmp_path_factory.mktemp("marian"), **MODELS[request.param]))


def test_tokens_are_those_of_transformers(both: Both) -> None:
    texts = [*marian_folders.texts(50), *marian_folders.STRANGE]
    if not any(name.startswith(">>") for name in both.translator.source_tokenizer.vocabulary):
        texts = [text for text in texts if not text.startswith(">>")]
    else:
        texts.remove(">>xxx<< the dog")  # an unknown code is text here
    assert [both.ids(text) for text in texts] == [both.peer.ids(text) for text in texts]


def test_decoded_texts_are_those_of_transformers(both: Both) -> None:
    own = {theirs: i for i, theirs in both.target.items()}
    for output in both.peer.greedy(marian_folders.texts(10), LONGEST):
        theirs = both.peer.tokenizer.decode(output, skip_special_tokens=True, use_source_tokenizer=False)
        assert both.translator.target_tokenizer.decode([own[token] for token in output]) == theirs


def test_logits_are_those_of_transformers(both: Both) -> None:
    texts = marian_folders.texts(6, seed=2)
    for text, output in zip(texts, both.greedy(texts), strict=True):
        source = both.peer.ids(text)
        theirs, ours = both.peer.logits(source, output), both.logits(source, output)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert theirs.std() > 0.1


def test_greedy_outputs_are_those_of_transformers(both: Both) -> None:
    texts = marian_folders.texts(8, seed=3)
    outputs = both.greedy(texts)
    assert outputs == both.peer.greedy(texts, LONGEST)
    assert len(set(map(tuple, outputs))) > 1


def test_fifty_of_fifty_greedy_outputs_are_those_of_transformers(tmp_path: Path) -> None:
    check_outputs(tmp_path, {}, 50)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one embedding", "two embeddings", "no embedding tied"])
def test_thousand_of_thousand_greedy_outputs_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    check_outputs(tmp_path, MODELS[name], 1000)


def check_outputs(folder: Path, settings: dict[str, Any], count: int) -> None:
    both = Both(marian_folders.make(folder, **settings))
    for model in (both.translator.models[0], both.peer.model):
        model.double()  # of two tokens that are equally probable the rounding would choose
    texts = marian_folders.texts(count, seed=4)
    outputs = both.greedy(texts)
    assert outputs == both.peer.greedy(texts, LONGEST)
    assert len(set(map(tuple, outputs))) >= 10


def test_attention_of_each_layer_and_head_is_that_of_transformers(tmp_path: Path) -> None:
    both = Both(marian_folders.make(tmp_path))
    text = "the small dog sees apples"
    [[output]] = both.translator.translate([text], beam=1, max_length=LONGEST, attention="all")
    tokens = [both.target[token] for token in output.tokens]
    source = torch.tensor([both.peer.ids(text)])
    start = both.peer.model.config.decoder_start_token_id
    theirs = both.peer.model(
        source, decoder_input_ids=torch.tensor([[start, *tokens]]), output_attentions=True
    ).cross_attentions
    weights = np.stack([layer[0].detach().numpy() for layer in theirs])  # (L, H, T, S)
    own = output.subword_attention_heads
    assert own is not None
    assert own.shape == weights.shape
    np.testing.assert_allclose(own, weights, atol=1e-4)


def test_tokens_that_are_not_of_the_model_have_no_probability(both: Both) -> None:
    source, inputs = torch.tensor([both.ids_here("the dog")]), torch.tensor([[BOS, EOS]])
    with torch.no_grad():
        model = both.translator.members[0].model
        shares = model(source, source != PAD, inputs).logits[0].softmax(-1)
    torch.testing.assert_close(shares[:, sorted(both.target)].sum(-1), torch.ones(2))


def test_training_goes_on_from_an_imported_run(tmp_path: Path) -> None:
    both = Both(marian_folders.make(tmp_path / "opus"))
    model, losses = both.translator.members[0].model.train(), []
    sources, targets = (
        [tokenizer.encode(line) for line in lines[:2]]
        for tokenizer, lines in (
            (both.translator.source_tokenizer, tiny.ENGLISH),
            (both.translator.target_tokenizer, tiny.FRENCH),
        )
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(40):
        source, target = torch.tensor([[*sources[step % 2], EOS]]), [BOS, *targets[step % 2], EOS]
        logits = model(source, source != PAD, torch.tensor([target[:-1]])).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target[1:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < 0.75 * sum(losses[:4])
    save_weights(both.run, model)
    export_transformers(both.run, tmp_path / "again")
    peer = marian_folders.Peer(tmp_path / "again")
    [[own]] = Translator.load(both.run, device="cpu").translate(["the dog"], beam=1, max_length=LONGEST)
    [theirs] = peer.greedy(["the dog"], LONGEST)
    names = both.translator.target_tokenizer.vocabulary
    assert [names[token] for token in own.tokens] == peer.tokenizer.convert_ids_to_tokens(theirs)


def test_words_of_tokens_are_those_of_the_text_as_it_was(tmp_path: Path) -> None:
    from seq2attn.data.text.words import word_numbers

    tokenizer = Both(marian_folders.make(tmp_path, codes=True)).translator.source_tokenizer
    for text in (*marian_folders.texts(20), *marian_folders.STRANGE):
        ids, words = tokenizer.encode(text), text.split()
        numbers = word_numbers(text, ids, tokenizer)
        assert len(numbers) == len(ids)
        assert [number for number in numbers if number >= 0] == sorted(n for n in numbers if n >= 0)
        assert set(numbers) - {-1} <= set(range(len(words)))
    text = ">>fra<<  ﬁne \u00a0 dog"
    numbers = word_numbers(text, tokenizer.encode(text), tokenizer)
    assert numbers[0] == 0
    assert set(numbers) - {-1} == {0, 1, 2}
    assert word_numbers("dog", tokenizer.encode("dog")[:1], tokenizer) == [0]


def test_tokenizer_comes_back_from_its_file(tmp_path: Path) -> None:
    import pickle

    own = Both(marian_folders.make(tmp_path, codes=True)).translator.source_tokenizer
    own.save(tmp_path / "a.model")
    texts = [*marian_folders.texts(5), *marian_folders.STRANGE]
    for other in (Tokenizer.load(tmp_path / "a.model"), pickle.loads(pickle.dumps(own))):
        assert other.encode_batch(texts) == own.encode_batch(texts)
        assert (other.size, other.vocabulary) == (own.size, own.vocabulary)
    assert own.encode_batch([]) == []


def test_run_has_languages_search_and_origin_of_the_folder(tmp_path: Path) -> None:
    folder = marian_folders.make(tmp_path / "opus")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# license: mit\n")
    run = import_folder(folder, tmp_path / "run", "hf:a/b", (None, "de"))
    assert run.languages == ("en", "de")
    assert run.corpus == "hf:a/b"
    assert run.config.search.beam == 3
    [line] = (run.path / "provenance.jsonl").read_text().splitlines()
    imported = json.loads(line)["imported"]
    assert imported["from"] == "hf:a/b"
    assert imported["licence"] == "apache-2.0"
    assert len(imported["files"]["model.safetensors"]) == 64
    assert str(tmp_path) not in line
    with pytest.raises(UserError, match="a run is here already"):
        import_folder(folder, tmp_path / "run", "again")
    import_folder(folder, tmp_path / "run", "again", force=True)


def change(folder: Path, name: str, **changes: object) -> None:
    tree = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({k: v for k, v in (tree | changes).items() if v != "gone"}))


def spoil(folder: Path, what: str) -> None:
    from safetensors.torch import load_file, save_file

    match what.split():
        case ["no", name]:
            (folder / name).unlink()
        case ["pickle"]:
            (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        case ["cut", name]:
            (folder / name).write_bytes((folder / name).read_bytes()[:-9])
        case ["empty", name]:
            (folder / name).write_bytes(b"")
        case ["config", name, value]:
            change(folder, "config.json", **{name: json.loads(value)})
        case ["token", name]:
            change(folder, "vocab.json", **{name: "gone"})
        case ["token", name, value]:
            change(folder, "vocab.json", **{name: json.loads(value)})
        case ["tensor", name, value]:
            tensors = load_file(folder / "model.safetensors")
            if value == "gone":
                del tensors[name]
            elif value == "nan":
                tensors[name][0] = torch.nan
            else:
                tensors[name] = torch.zeros(3, 5)
            save_file(tensors, folder / "model.safetensors")
        case _:
            raise AssertionError(what)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marian_folders.make(tmp_path_factory.mktemp("whole"))


REFUSALS = {
    "no config.json": "has no config.json",
    "no source.spm": "has no source.spm",
    "no model.safetensors": "has no model.safetensors; make it with transformers: python -c",
    "pickle": "pytorch_model.bin can run code, so it is not read; make it with transformers",
    "cut model.safetensors": "damaged",
    "cut config.json": "config.json: damaged",
    "cut source.spm": "source.spm: no SentencePiece model that can be imported",
    "empty target.spm": "target.spm: no SentencePiece model that can be imported",
    'config model_type "bart"': "model_type is bart: only Marian models",
    "config normalize_before true": "normalize_before is True: only False",
    'config activation_function "mish"': "activation_function is mish",
    "config d_model 15": "an odd size",
    "config d_model 1000000": "",
    "config d_model -1": "d_model is -1: it is a number from 1",
    "config encoder_layers 4000000": "model.encoder.layers: it must be at most 256",
    "config encoder_ffn_dim 30": "has the shape",
    "config vocab_size 900": "are not numbered from 0 to 899",
    "config decoder_start_token_id 900": "no token decoder_start_token_id, 900",
    "config eos_token_id 5": "the number of </s> is not eos_token_id",
    "config encoder_attention_heads 3": "heads",
    "token <unk>": "vocab.json: its",
    'token <unk> "x"': "no list of tokens",
    "tensor model.shared.weight gone": "has no model.encoder.embed_tokens.weight",
    "tensor model.encoder.layers.1.fc1.bias gone": "has no model.encoder.layers.1.fc1.bias",
    "tensor model.encoder.layers.1.fc1.bias nan": "not finite",
    "tensor model.encoder.layers.1.fc1.bias zeros": "has the shape [3, 5]",
    "tensor model.encoder.layers.9.fc1.bias zeros": "is unknown",
    "tensor model.encoder.embed_positions.weight zeros": "is not sinusoidal",
}


@pytest.mark.parametrize("what", REFUSALS)
def test_bad_folders_are_refused_in_one_line(what: str, whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "opus", ignore=shutil.ignore_patterns("run"))
    spoil(folder, what)
    with pytest.raises(UserError) as error:
        import_folder(folder, tmp_path / "run", "tests")
    assert REFUSALS[what] in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
