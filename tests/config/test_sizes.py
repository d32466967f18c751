"""Sizes that follow from several settings."""

from seq2attn import config
from seq2attn.config import sizes

ENCODER, DECODER = "model.encoder.kind=transformer", "model.decoder.kind=transformer"


def model_of(*settings: str) -> config.ModelConfig:
    return config.change(config.Config(), settings).model


def memory(model: config.ModelConfig) -> tuple[int, int]:
    return sizes.memory_size(model, "keys"), sizes.memory_size(model, "values")


def test_sizes_of_keys_values_and_queries() -> None:
    model = model_of("model.attention.keys=embeddings", "model.attention.query_input=both")
    assert (*memory(model), sizes.query_size(model), sizes.attention_size(model)) == (256, 512, 768, 512)
    model = model_of("model.embedding=512", "model.attention.values=sum", "model.attention.size=64")
    assert (*memory(model), sizes.query_size(model), sizes.attention_size(model)) == (512, 512, 512, 64)
    assert sizes.query_size(model_of("model.attention.query_input=embedding")) == 256


def test_sizes_of_a_transformer() -> None:
    model = model_of(ENCODER, DECODER, "model.attention.size=64")
    assert (sizes.encoder_width(model), sizes.decoder_size(model)) == (256, 256)
    assert (sizes.query_size(model), sizes.attention_size(model)) == (256, 64)
    assert (*memory(model), sizes.projects(model)) == (256, 256, True)
    model = model_of(DECODER, "model.attention.keys=embeddings", "model.encoder.size=100")
    assert (sizes.encoder_width(model), *memory(model), sizes.projects(model)) == (200, 256, 200, True)
    assert not sizes.projects(config.Config().model)
    assert sizes.projects(model_of("model.attention.heads=4"))


def test_sizes_of_convolutional_models_are_the_embedding() -> None:
    model = model_of("model.encoder.kind=conv", "model.decoder.kind=conv", "model.embedding=128")
    assert (sizes.encoder_width(model), sizes.decoder_size(model), *memory(model)) == (128, 128, 128, 128)


def test_memory_is_states_where_nothing_attends() -> None:
    model = model_of("model.decoder.context_source=summary", "model.attention.values=embeddings")
    assert memory(model) == (512, 512)
