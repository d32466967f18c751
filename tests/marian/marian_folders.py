"""Random Marian models as transformers saves them, with small SentencePiece models of its rules."""

import copy
import functools
import io
import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tiny
import torch
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip(
    "transformers", reason="the package transformers is not installed: it is in the extra `test`"
)

WORDS = sorted({word for text in (*tiny.ENGLISH, *tiny.FRENCH) for word in text.split()})
# full-width and composed letters, ligatures, spaces of many kinds, and what no vocabulary has
STRANGE = [
    *(
        "ﬁne  dogs",
        "ｄｏｇ",
        "the\u00a0dog",
        " a  b ",
        "e\u0301coutent",
        "☃☃ dog ☃",
        "日本 the",
        "½ cat",
        "dog☃cat",
    ),
    *(">>fra<< the dog", ">>fra<<the dog", ">>xxx<< the dog", "the >>fra<< dog", "a", "zzz", "the dog\u200b"),
]


@functools.cache
def subwords(side: str, size: int, kind: str = "unigram") -> bytes:
    """A SentencePiece model with the defaults of SentencePiece: rules of NFKC, and no two spaces."""
    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny.ENGLISH if side == "source" else tiny.FRENCH),
        model_writer=output,
        model_type=kind,
        vocab_size=size,
        minloglevel=3,
    )
    return output.getvalue()


def pieces(model: bytes) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


def numbered(names: list[str], pad_last: bool = True) -> dict[str, int]:
    names = ["</s>", "<unk>", *dict.fromkeys(names)]
    return {name: place for place, name in enumerate([*names, "<pad>"] if pad_last else ["<pad>", *names])}


def make(
    folder: Path,
    *,
    kind: str = "unigram",
    shared: bool = True,
    tied: bool = True,
    bias: bool = True,
    scaled: bool = True,
    codes: bool = False,
    dropped: int = 3,
    seed: int = 1,
    **settings: Any,
) -> Path:
    """A folder of a random model. `dropped` subwords of each side are not in the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {side: subwords(side, 60 if side == "source" else 70, kind) for side in ("source", "target")}
    source, target = (pieces(models[side])[dropped:] for side in models)
    extra = [">>fra<<", ">>deu<<"] if codes else []
    if shared:
        vocabularies = [numbered([*extra, *source, *target])] * 2
    else:
        vocabularies = [numbered([*extra, *source]), numbered(target)]
        (folder / "target_vocab.json").write_text(json.dumps(vocabularies[1]))
    (folder / "vocab.json").write_text(json.dumps(vocabularies[0]))
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    pad = vocabularies[0]["<pad>"]
    config = transformers.MarianConfig(
        **{
            "vocab_size": len(vocabularies[0]),
            "decoder_vocab_size": len(vocabularies[1]),
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 3,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 20,
            "activation_function": "swish",
            "max_position_embeddings": 64,
            "scale_embedding": scaled,
            "share_encoder_decoder_embeddings": shared,
            "tie_word_embeddings": tied,
            "pad_token_id": pad,
            "decoder_start_token_id": pad,
            "eos_token_id": 0,
            "forced_eos_token_id": 0,
        }
        | settings
    )
    torch.manual_seed(seed)
    model = transformers.MarianMTModel(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_positions" in name:
                continue
            plain = torch.randn_like(weight)
            large = "embed_tokens" in name or "shared" in name or "lm_head" in name
            scale = (
                ((0.25 if scaled else 1.0) if large else 1.5 / weight.shape[-1] ** 0.5)
                if weight.dim() > 1
                else 0.2
            )
            # sharp weights and strong contexts, so that outputs differ by source
            scale *= 5 if "encoder_attn" in name or "q_proj" in name else 1
            last = name.endswith("decoder.layers.2.final_layer_norm.weight")  # a token does not repeat itself
            weight.copy_(scale * plain * (15 if last else 1) + ("norm.weight" in name and not last))
        if bias:
            model.final_logits_bias.normal_(std=0.3)
            model.final_logits_bias[0, 0] += 2.5  # ends sooner
    model.save_pretrained(folder)
    if not bias:
        tensors = load_file(folder / "model.safetensors")
        del tensors["final_logits_bias"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    search = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(search | {"num_beams": 3}))
    facts = {"source_lang": "en", "target_lang": "fr", "separate_vocabs": not shared, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts | {"tokenizer_class": "MarianTokenizer"}))
    return folder


def texts(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(1, 9))) for _ in range(count)]


class Peer:
    """The model and tokenizer of a folder in transformers."""

    def __init__(self, folder: Path) -> None:
        self.model = transformers.MarianMTModel.from_pretrained(folder, attn_implementation="eager").eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
        encoder = self.tokenizer.target_encoder if self.tokenizer.separate_vocabs else self.tokenizer.encoder
        # this program never writes these two
        self.banned = [[encoder["<pad>"]], [encoder["<unk>"]]]

    def ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def greedy(self, texts: list[str], longest: int) -> list[list[int]]:
        """The tokens of each output, without start and end. Texts of one length share a batch."""
        outputs: dict[int, list[int]] = {}
        rows = [self.ids(text) for text in texts]
        for length in {len(row) for row in rows}:
            places = [place for place, row in enumerate(rows) if len(row) == length]
            ids = torch.tensor([rows[place] for place in places])
            batch = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                num_beams=1,
                do_sample=False,
                max_new_tokens=longest,
                bad_words_ids=self.banned,
                forced_eos_token_id=None,
            ).tolist()
            end = self.model.config.eos_token_id
            outputs |= {
                place: output[1 : output.index(end, 1) if end in output[1:] else None]
                for place, output in zip(places, batch, strict=True)
            }
        return [outputs[place] for place in range(len(texts))]

    def logits(self, source: list[int], target: list[int]) -> torch.Tensor:
        """(T + 1, N): after the start and after each token of the target."""
        start = self.model.config.decoder_start_token_id
        with torch.no_grad():
            output = self._wide(torch.tensor([source]), decoder_input_ids=torch.tensor([[start, *target]]))
        logits: torch.Tensor = output.logits[0]
        return logits

    @functools.cached_property
    def _wide(self) -> Any:
        """The model in float64, its positions too: sharp weights make much of the rounding of float32."""
        model = copy.deepcopy(self.model).double()
        for stack in (model.model.encoder, model.model.decoder):
            table = stack.embed_positions.weight.detach()
            places = torch.arange(len(table), dtype=torch.float64)[:, None]
            angles = places / 10000 ** (torch.arange(0, table.shape[1], 2).double() / table.shape[1])
            exact = torch.cat([angles.sin(), angles.cos()], 1)
            torch.testing.assert_close(table, exact, atol=1e-6, rtol=0)
            table.copy_(exact)
        return model
