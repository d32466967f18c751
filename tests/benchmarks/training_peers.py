"""What training_speed.py measures beside seq2attn: eole, and MarianMTModel of transformers in a plain loop.
And what all rows share: which updates count,
and how a speed is said.

Each gets seq2attn's settings and prepared pairs, as files. transformers stands in another Python, which runs
this very file (`PYTHON training_peers.py JOB`),
so that nothing of seq2attn is up here.
"""

import json
import os
import re
import resource
import shutil
import sys
import time
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from in_turn import Failed, last_line, number_before, output_of
from peers import marian_facts, output_by

UNCOUNTED = 10  # updates: caches, thread pools and the allocator warm up
SPEED = "target tokens/s"
REPORT = 5  # updates between two lines of eole's log
# Step 15/60; ... bsz: 3001/2950/210; 1650/1622 tok/s; ...
EOLE_REPORT = re.compile(r"Step\s+(\d+)/.*bsz:\s*\d+/\s*(\d+)/.*?/\s*(\d+) tok/s")


def said(precision: str, model: Any, loss: float, tokens: int, seconds: float) -> str:
    """The line of a process that has trained a torch module; the tokens are those of the seconds."""
    import torch

    millions = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    threads = torch.get_num_threads()
    return (
        f"{precision}, {threads} threads, {millions:.2f}M parameters, loss {loss:.3f}, "
        f"peak {memory:.0f} MB, {tokens / seconds:.0f} {SPEED}"
    )


# eole


def write_eole(folder: Path, work: Path, chosen: Any, steps: int, precision: str) -> Path:
    """The prepared pairs as eole reads them, and its configuration of the model with these settings
    (`config.Config`); the path of the latter.
    """
    from seq2attn.data.prepared import Prepared
    from seq2attn.data.tokenizer import SPECIALS

    prepared = Prepared(folder)
    tokenizer, split = prepared.source_tokenizer, prepared.split("train")
    sides = split.ids(np.arange(len(split)))
    for name, ids in zip(("source.txt", "target.txt"), sides, strict=True):
        lines = (" ".join(tokenizer.subwords(row.tolist())) for row in ids)
        (work / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    pieces = tokenizer.subwords(range(len(SPECIALS), tokenizer.size))  # it adds four specials of its own
    (work / "vocabulary.txt").write_text("".join(f"{piece}\t1\n" for piece in pieces), encoding="utf-8")
    configuration = {
        "data": {
            "train": {
                "path_src": str(work / "source.txt"),
                "path_tgt": str(work / "target.txt"),
                "transforms": [],
                "weight": 1,
            }
        },
        "src_vocab": str(work / "vocabulary.txt"),
        "tgt_vocab": str(work / "vocabulary.txt"),
        "share_vocab": True,
        "src_vocab_size": tokenizer.size,
        "tgt_vocab_size": tokenizer.size,
        "seed": 1,
        "report_every": REPORT,
        "skip_empty_level": "silent",
        "model": {
            "architecture": "custom",
            **(
                eole_transformer(chosen.model)
                if chosen.model.encoder.kind == "transformer"
                else eole_recurrent(chosen.model)
            ),
        },
        "training": {
            "world_size": 0,
            "gpu_ranks": [],
            "compute_dtype": precision,
            "batch_type": "tokens",
            "batch_size": chosen.train.batch_tokens,
            "batch_size_multiple": 1,
            "valid_steps": 10**6,
            "save_checkpoint_steps": 10**6,
            "bucket_size": len(split),  # the whole corpus is sorted by length
            "num_workers": 0,
            "normalization": "tokens",
            "optim": "adam",
            "adam_beta1": chosen.train.beta1,
            "adam_beta2": chosen.train.beta2,
            "learning_rate": chosen.train.lr,
            "decay_method": "none",
            "max_grad_norm": chosen.train.clip_norm,
            "dropout": [chosen.model.dropout],
            "attention_dropout": [0.0],
            "dropout_steps": [0],
            "label_smoothing": chosen.train.label_smoothing,
            "log_attention_entropy": False,  # work that nobody asked for
            "train_steps": steps,
            "model_path": str(work / "model"),
        },
    }
    path = work / "eole.yaml"
    path.write_text(json.dumps(configuration, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def eole_recurrent(model: Any) -> dict[str, Any]:
    size = model.decoder.size
    # both directions together; a bridge crashes behind brnn
    recurrent = {"layers": 1, "hidden_size": size, "rnn_type": "LSTM", "bridge": False}
    return {
        "embeddings": {
            "src_word_vec_size": model.embedding,
            "tgt_word_vec_size": model.embedding,
            "position_encoding_type": None,
        },
        "encoder": {"encoder_type": "brnn", **recurrent},  # an architecture of rnn would make it read one way
        "decoder": {"decoder_type": "rnn", "global_attention": "mlp", **recurrent},
        "input_feed": 1,
        "share_embeddings": False,
        "share_decoder_embeddings": False,
    }


def eole_transformer(model: Any) -> dict[str, Any]:
    sides = {
        name: {
            "layers": side.layers,
            "hidden_size": side.size,
            "heads": side.heads,
            "transformer_ff": side.feedforward,
            "mlp_activation_fn": "relu",
            "layer_norm": "standard",
            "add_qkvbias": True,
            "add_final_linear_bias": True,
            "add_ffnbias": True,
        }
        for name, side in (("encoder", model.encoder), ("decoder", model.decoder))
    }
    return {
        "embeddings": {
            "src_word_vec_size": model.embedding,
            "tgt_word_vec_size": model.embedding,
            "position_encoding_type": "SinusoidalInterleaved",
        },
        "encoder": {"encoder_type": "transformer", **sides["encoder"]},
        "decoder": {"decoder_type": "transformer", **sides["decoder"]},
        "share_embeddings": True,
        "share_decoder_embeddings": True,
    }


def eole(program: str, configuration: Path) -> float:
    shutil.rmtree(configuration.parent / "model", ignore_errors=True)  # of the round before
    printed = output_of([program, "train", "--config", str(configuration)], configuration.parent)
    reports = [
        (int(step), int(tokens) * REPORT, int(rate)) for step, tokens, rate in EOLE_REPORT.findall(printed)
    ]
    counted = [(tokens, rate) for step, tokens, rate in reports if step > UNCOUNTED and rate]
    if not counted:
        raise Failed(f"no speed in its log: {last_line(printed)}")
    return sum(tokens for tokens, _ in counted) / sum(tokens / rate for tokens, rate in counted)


# MarianMTModel


def write_marian(folder: Path, work: Path, chosen: Any, steps: int, precision: str) -> Path:
    """The pairs of each update, as training with these settings (`config.Config`) takes them, and a job for
    `train_marian`; the path of the latter.
    """
    from seq2attn.data.batches import plan
    from seq2attn.data.prepared import Prepared

    prepared, train = Prepared(folder), chosen.train
    split = prepared.split("train")
    epochs = (
        plan(split.source_lengths, split.target_lengths, train.batch_tokens, train.seed, epoch)
        for epoch in count()
    )
    updates = list(islice((rows for batches in epochs for rows in batches), steps))
    facts = marian_facts(chosen.model, prepared.source_tokenizer.size, prepared.target_tokenizer.size)
    arrays = {"pairs": np.array([len(rows) for rows in updates])}
    for name, side in zip(
        ("source", "target"), zip(*(split.ids(rows) for rows in updates), strict=True), strict=True
    ):
        ended = [np.append(ids, facts["eos_token_id"]) for batch in side for ids in batch]
        arrays |= {name: np.concatenate(ended), f"{name}_lengths": np.array([len(ids) for ids in ended])}
    np.savez(work / "updates.npz", **arrays)
    recipe = {
        "lr": train.lr,
        "betas": (train.beta1, train.beta2),
        "eps": train.eps,
        "clip": train.clip_norm,
        "label_smoothing": train.label_smoothing,
    }
    job = {
        "updates": str(work / "updates.npz"),
        "facts": facts,
        "precision": precision,
        "seed": train.seed,
        **recipe,
    }
    path = work / "marian.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return path


def read_updates(path: str | Path) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """What `write_marian` wrote: of each update the ids of its sources and of its targets, each with its end
    token.
    """
    with np.load(path) as arrays:
        ends = np.cumsum(arrays["pairs"])[:-1]
        sides = [
            np.split(arrays[name], np.cumsum(arrays[f"{name}_lengths"])[:-1]) for name in ("source", "target")
        ]
    starts = [0, *ends.tolist(), len(sides[0])]
    sources, targets = ([side[a:b] for a, b in pairwise(starts)] for side in sides)
    return list(zip(sources, targets, strict=True))


def marian(python: str, job: Path) -> float:
    return number_before(SPEED, output_by(python, __file__, str(job), folder=job.parent))


def train_marian(job: dict[str, Any]) -> None:
    """One update after another on the pairs that are given, and the speed: the loop that one writes first."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from torch.nn import functional as F
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(job["seed"])
    updates = read_updates(job["updates"])
    facts = job["facts"]
    model = MarianMTModel(MarianConfig(**facts)).train()
    pad = facts["pad_token_id"]
    optimizer = torch.optim.Adam(
        model.parameters(), lr=job["lr"], betas=tuple(job["betas"]), eps=job["eps"], fused=True
    )

    def padded(rows: list[np.ndarray]) -> torch.Tensor:
        lengths = np.array([len(ids) for ids in rows])
        ids_BT = np.full((len(rows), lengths.max()), pad, dtype=np.int64)
        ids_BT[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(rows)
        return torch.from_numpy(ids_BT)

    tokens = 0
    for number, (sources, targets) in enumerate(updates):
        if number == UNCOUNTED:
            began = time.perf_counter()
        source_BS, target_BT = padded(sources), padded(targets)
        start_B1 = torch.full((len(targets), 1), facts["decoder_start_token_id"])
        inputs_BT = torch.cat([start_B1, target_BT[:, :-1]], 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=job["precision"] == "bf16"):
            logits_BTV = model(
                source_BS,
                attention_mask=(source_BS != pad).long(),
                decoder_input_ids=inputs_BT,
                use_cache=False,
            ).logits
            loss = F.cross_entropy(
                logits_BTV.flatten(0, 1).float(),
                target_BT.flatten(),
                ignore_index=pad,
                label_smoothing=job["label_smoothing"],
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), job["clip"])
        optimizer.step()
        optimizer.zero_grad()
        if number >= UNCOUNTED:
            tokens += sum(map(len, targets))
    seconds = time.perf_counter() - began
    print(said(job["precision"], model, loss.item(), tokens, seconds))


if __name__ == "__main__":
    train_marian(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
