"""A translator of some texts whose attention experiments change, in search and in forced decoding.

It shares all numbers with the translator that it is made of, which stays as it is.
"""

from collections.abc import Sequence

import torch

from seq2attn.attention.normalisers import HardSample, HardTopK
from seq2attn.config import Config
from seq2attn.data.formats.text import is_blank
from seq2attn.errors import UserError
from seq2attn.explaining.changed_weights import Attention, ChangedWeights, Sentence
from seq2attn.explaining.experiment import Experiment
from seq2attn.explaining.replaced_weights import attentions, numbered, twin
from seq2attn.inference import Translator
from seq2attn.inference.encoding import truncate_text
from seq2attn.inference.translator import MAX_WORDS, Member
from seq2attn.inference.words import word_numbers
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq


class _Source(list[int]):
    """The ids of a source, with the number of its text, from 1."""

    def __init__(self, ids: Sequence[int], number: int) -> None:
        super().__init__(ids)
        self.number = number


class ChangedTranslator(Translator):
    """A translator whose models know each text by its number."""

    def encode_sources(self, texts: Sequence[str]) -> tuple[list[list[list[int]]], list[int]]:
        members, lengths = super().encode_sources(texts)
        return [[_Source(ids, number) for number, ids in enumerate(side, 1)] for side in members], lengths

    def encode(self, sources: Sequence[Sequence[list[int]]], seeds: Sequence[int]) -> list[Memory]:
        # a source that fills up a batch has no number
        number_B = torch.tensor([getattr(source, "number", 0) for source in sources[0]], device=self.device)
        return [numbered(memory, number_B) for memory in super().encode(sources, seeds)]


def changed_translator(
    translator: Translator, texts: Sequence[str], experiments: Sequence[Experiment], where: Sequence[str]
) -> ChangedTranslator:
    """The translator of exactly these texts, each with its experiment; `where` names them in errors.

    Raises UsageError for an experiment that does not fit its text or the model, UserError for a model without
    attention.
    """
    for experiment in {id(one): one for one in experiments}.values():
        experiment.check()
    sources, _ = translator.encode_sources(texts)
    members = [
        Member(_changed(member, texts, ids, experiments, where), member.source_tokenizer)
        for member, ids in zip(translator.members, sources, strict=True)
    ]
    other = ChangedTranslator(
        *members[0],
        translator.target_tokenizer,
        without_graphs(translator.config),
        languages=translator.languages,
        precision=translator.format,
        others=members[1:],
    )
    other.choice = translator.choice
    return other


def _changed(
    member: Member,
    texts: Sequence[str],
    ids: Sequence[Sequence[int]],
    experiments: Sequence[Experiment],
    where: Sequence[str],
) -> Seq2Seq:
    """The model of a member with what the experiments change."""
    model, about = member.model, attention_of(member.model)
    sentences = []
    for text, source, experiment, place in zip(texts, ids, experiments, where, strict=True):
        experiment.check_model(about.layers, about.heads, about.hard)
        if is_blank(text) or not source:
            sentences.append(Sentence(Experiment(), [0] * (len(source) + 1)))
            continue
        text = truncate_text(text)
        words = [word + 1 for word in word_numbers(text, source, member.source_tokenizer)]
        experiment.check_words(len(text.split(None, MAX_WORDS)[:MAX_WORDS]), set(words) - {0}, place)
        sentences.append(Sentence(experiment, [*words, 0]))
    changed = ChangedWeights(sentences, about, next(model.parameters()).device)
    return twin(model, changed.replace, changed.hide)


def without_graphs(config: Config) -> Config:
    """The settings of a model with changes: a CUDA graph would know the batch that it was captured with."""
    search = config.search.model_copy(update={"cuda_graphs": False})
    return config.model_copy(update={"search": search})


def attention_of(model: Seq2Seq) -> Attention:
    """What an experiment must know of it. Raises UserError if there is none."""
    layers = attentions(model)
    if not layers:
        raise UserError("the model has no attention that an experiment could change")
    first = layers[0]
    hard = isinstance(first.normalise, HardTopK | HardSample)
    hard = hard and getattr(first.normalise, "at_inference", "") != "expected"
    return Attention(len(layers), first.heads, hard, first.normalise.sums_to_one)
