"""The verb group in both languages: auxiliaries, negation, adverbs, clitics and agreement of the participle.

The caller makes every choice (tense, negation, subject, clitics). This module orders the words, and knows no
noun phrases.
"""

from dataclasses import dataclass
from typing import NamedTuple

from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr
from seq2attn.samples.phrases.detokenise import Words, words
from seq2attn.samples.phrases.lexicon import CONJUGATIONS, MODALS, Verb


class Agreement(NamedTuple):
    """Person, number and gender, with which verbs, participles and predicates agree."""

    person: int
    plural: bool
    feminine: bool

    @property
    def form(self) -> int:
        """The index in je, tu, il, nous, vous, ils."""
        return self.person - 1 + 3 * self.plural


@dataclass(frozen=True)
class Nodes:
    """The nodes of a verb group: those of its tense, its meaning, its negation and its adverb."""

    tense: int
    meaning: int
    negation: int
    adverb: int


@dataclass(frozen=True)
class Group:
    """Everything that determines a verb group."""

    verb: Verb
    tense: str  # present, past or future
    nodes: Nodes
    negation: str = ""  # "", "not" or "never"
    adverb: tuple[str, str] | None = None  # of frequency: English, French
    modal: str = ""  # "", "can", "must" or "want"


REFLEXIVES = ("me", "te", "se", "nous", "vous", "se")


def english_group(group: Group, subject: Agreement, inverted: bool) -> tuple[Words, Words]:
    """The words before the subject of a question (`inverted`), and the other words.

    A statement has both after its subject.
    """
    verb, nodes = group.verb, group.nodes
    third = subject.person == 3 and not subject.plural
    middle = words("never", nodes.negation) if group.negation == "never" else ()
    if group.adverb is not None:
        middle += words(group.adverb[0], nodes.adverb)
    negation = words("not", nodes.negation) if group.negation == "not" else ()
    particle = words(verb.particle, nodes.meaning) if verb.particle else ()
    base = words(verb.english, nodes.meaning) + particle
    if group.modal in ("can", "must"):
        return words(group.modal, nodes.tense), negation + middle + base
    head, tail = verb.english, particle
    head_nodes: tuple[int, ...] = (nodes.tense, nodes.meaning)
    if group.modal == "want":
        head, tail, head_nodes = "want", words("to", nodes.meaning) + base, (nodes.tense,)
    if group.tense == "future":
        return words("will", nodes.tense), negation + middle + words(head, *head_nodes[-1:]) + tail
    if head == "be":
        return words(en.be(subject.person, subject.plural), *head_nodes), negation + middle + tail
    if inverted or group.negation == "not":
        do = "did" if group.tense == "past" else "does" if third else "do"
        return words(do, nodes.tense), negation + middle + words(head, *head_nodes[-1:]) + tail
    finite = en.past(head) if group.tense == "past" else en.present(head, third)
    return (), middle + words(finite, *head_nodes) + tail


def french_group(
    group: Group,
    subject: Agreement,
    clitics: Words = (),
    accusative: Agreement | None = None,
    manner: Words = (),
    after_same: bool = False,
) -> Words:
    """The French group with its clitics.

    `accusative` is the direct object if it comes before the verb (clitic, que, combien de, quel). The
    participle of a verb with avoir agrees with it. `manner` is an adverb before the participle. With
    `after_same`, the auxiliary of the verb before is not repeated (j'ai chanté et dansé).
    """
    verb, nodes = group.verb, group.nodes
    forms = CONJUGATIONS[verb.french]
    if forms.reflexive:
        clitics = words(REFLEXIVES[subject.form], nodes.meaning) + clitics
    ne = words("ne", nodes.negation) if group.negation else ()
    after = words("jamais" if group.negation == "never" else "pas", nodes.negation) if group.negation else ()
    if group.adverb is not None:
        after += words(group.adverb[1], nodes.adverb)
    between = words(verb.noun, nodes.meaning) if verb.noun else ()
    if group.modal:
        finite = words(CONJUGATIONS[MODALS[group.modal]].present[subject.form], nodes.tense)
        return ne + finite + after + clitics + manner + words(forms.infinitive, nodes.meaning) + between
    if group.tense == "past":
        auxiliary = CONJUGATIONS[forms.auxiliary].present[subject.form]
        owner = subject if forms.auxiliary == "être" else accusative
        participle = (
            forms.participle if owner is None else fr.agree(forms.participle, owner.feminine, owner.plural)
        )
        if after_same:
            return words(participle, nodes.tense, nodes.meaning)
        return (
            ne
            + clitics
            + words(auxiliary, nodes.tense)
            + after
            + manner
            + words(participle, nodes.meaning)
            + between
        )
    finite = words(
        (forms.present if group.tense == "present" else forms.future)[subject.form],
        nodes.tense,
        nodes.meaning,
    )
    return ne + clitics + finite + after + manner + between
