"""Programs of another Python, which has other libraries: how they are run, and the model that one of them,
transformers, has for a Transformer of ours.

Nothing of seq2attn up here: the scripts that import this also run where there is none.
"""

import sys
from pathlib import Path
from typing import Any

from in_turn import output_of

POSITIONS = 1024  # that Marian's table has


def output_by(python: str, script: str, *arguments: str, folder: Path) -> str:
    """What a script prints, run by this Python. Another one is run in the folder, and sees no package of
    ours.
    """
    return output_of(
        [python, str(Path(script).resolve()), *arguments], folder if python != sys.executable else None
    )


def marian_facts(settings: Any, source_size: int, target_size: int) -> dict[str, Any]:
    """The configuration of the MarianMTModel that has the size of a Transformer with these settings
    (`config.ModelConfig`): a post-norm one, whatever ours is.
    """
    from seq2attn.data.tokenizer import BOS, EOS, PAD

    facts: dict[str, Any] = {
        "vocab_size": source_size,
        "decoder_vocab_size": target_size,
        "share_encoder_decoder_embeddings": source_size == target_size,
        "d_model": settings.embedding,
        "activation_function": "relu",
        "scale_embedding": True,
        "max_position_embeddings": POSITIONS,
        "dropout": settings.dropout,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }
    for side in (settings.encoder, settings.decoder):
        name = "encoder" if side is settings.encoder else "decoder"
        gated = side.activation == "swiglu"  # three matrices for two
        facts |= {
            f"{name}_layers": side.layers,
            f"{name}_attention_heads": side.heads,
            f"{name}_ffn_dim": side.feedforward * 3 // 2 if gated else side.feedforward,
        }
    return facts
