"""Shared options: their copies of constants equal the originals, and help names them."""

from seq2attn.cli import flags
from seq2attn.evaluation import text
from seq2attn.inference import BATCH_TOKENS, predictor


def test_flags_equal_the_utilities_and_samples_of_the_search() -> None:
    assert flags.UTILITIES == text.UTILITIES
    assert flags.SAMPLES == predictor.SAMPLES


def test_flags_give_the_default_of_batch_tokens() -> None:
    assert flags.BATCH_TOKENS_DEFAULT == "3,072 on a CPU, 16,384 on CUDA"
    assert BATCH_TOKENS == {"cpu": 3072, "cuda": 16384}
