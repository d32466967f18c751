"""The kinds of sentences: statements, descriptions, questions, existence, ages, joined and long sentences.

This module knows how clauses form a sentence. The content of a clause is in `grammar`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr
from seq2attn.samples.phrases import lexicon
from seq2attn.samples.phrases.detokenise import (
    Word,
    Words,
    align,
    punctuate,
    spell_english,
    spell_french,
    words,
)
from seq2attn.samples.phrases.grammar import HE, SUBJECTS, Derivation, Pair, Phrase
from seq2attn.samples.phrases.lexicon import ADJECTIVES, BE, HAVE, VERBS, Verb
from seq2attn.samples.phrases.tables import among
from seq2attn.samples.phrases.verb_groups import Agreement, Group, english_group, french_group

Both = tuple[Words, Words]


@dataclass(frozen=True)
class Sentence:
    """A pair of sentences with its gold alignment.

    `pairs` are the pairs of lemmas that its derivation combines, `lemmas` all lemmas in it.
    """

    english: str
    french: str
    alignment: str
    pairs: frozenset[Pair]
    lemmas: frozenset[str]

    @property
    def lengths(self) -> tuple[int, int]:
        """Whitespace words: English, French."""
        return self.english.count(" ") + 1, self.french.count(" ") + 1


def _mark(text: str) -> Words:
    return (Word(text, frozenset()),)


def _verb(d: Derivation, frames: tuple[str, ...] = ()) -> Verb:
    if not frames and d.chance(0.04):
        return HAVE
    return d.pick([verb for verb in VERBS if not frames or verb.frame in frames])


# Clauses


def statement(d: Derivation, tense: str = "", adjuncts: bool = True) -> tuple[Words, Words, str]:
    """A declarative clause without its full stop, and its tense."""
    verb = _verb(d)
    if tense and tense not in verb.tenses:
        tense = ""
    subject = d.subject(verb)
    group = d.group(verb, subject.agreement, tense, negation=not _universal(subject))
    relatives = d.relatives
    english, french = d.finish(group, subject.agreement)
    english, french = subject.english + english, subject.french + french
    if not adjuncts:
        return english, french, group.tense
    for adjunct in _adjuncts(d, group) if d.relatives == relatives else ():
        english, french = english + adjunct[0], french + adjunct[1]
    if not group.modal and not group.adverb and verb.tenses == lexicon.ALL:
        if d.chance(0.15):
            time = d.time(group)
            english, french = english + time[0], french + time[1]
        elif d.chance(0.06):
            time = d.time(group)
            english, french = time[0] + _mark(",") + english, time[1] + _mark(",") + french
    return english, french, group.tense


def _universal(subject: Phrase) -> bool:
    """Every girl does not sleep has two readings."""
    return subject.english[0].text in ("every", "all")


def _adjuncts(d: Derivation, group: Group) -> list[Both]:
    verb = group.verb
    if verb.frame == "" and verb.french not in ("mourir",):
        return (
            [d.place()]
            if d.chance(0.3)
            else [d.company()]
            if d.chance(0.12) and "person" in verb.subjects
            else []
        )
    if verb.frame in ("object", "de") and verb.tenses == lexicon.ALL:
        return (
            [d.place()]
            if d.chance(0.07)
            else [d.company()]
            if d.chance(0.04) and "person" in verb.subjects
            else []
        )
    return []


def description(d: Derivation) -> tuple[Words, Words, str]:
    """A description and its tense: "The door is open", "She is not happy"."""
    subject, adjective = _described(d)
    group = d.group(BE, subject.agreement)
    aux, rest = english_group(group, subject.agreement, inverted=False)
    english, french = _adjective(d, adjective, subject.agreement)
    return (
        subject.english + aux + rest + english,
        subject.french + french_group(group, subject.agreement) + french,
        group.tense,
    )


def _described(d: Derivation) -> tuple[Phrase, lexicon.Adjective]:
    adjective = d.pick(list(ADJECTIVES.values()))
    while adjective.english in ("fat", "new"):  # as predicates, gros and nouveau would mean something else
        adjective = d.pick(list(ADJECTIVES.values()))
    if "kin" in adjective.kinds and d.chance(0.6):
        return (
            d.pronoun(SUBJECTS) if d.chance(0.6) else d.name() if d.chance(0.7) else d.couple()
        ), adjective
    noun = d.noun(adjective.kinds)
    d.pair("adjective", adjective.english, noun.english)
    phrase = d.noun_phrase(noun, "definite", relative=False, adjectives=d.chance(0.25))
    return phrase, adjective


def _adjective(d: Derivation, adjective: lexicon.Adjective, subject: Agreement) -> Both:
    d.use("adjective", adjective.english)
    node = d.node()
    return words(adjective.english, node), words(
        fr.agree(adjective.french, subject.feminine, subject.plural), node
    )


def existence(d: Derivation, interrogative: bool = False) -> Both:
    """Existence: "There is a cat in the garden". French has "il y a" for any number."""
    place = d.place()
    noun = d.noun(among("person animal food thing clothes text furniture vehicle"))
    negated = not interrogative and d.chance(0.25)
    phrase = d.noun_phrase(noun, "none" if negated else "new", relative=False)
    future = not interrogative and d.chance(0.2)
    there, be = d.node(), d.node()
    no = phrase.english[0].nodes  # stands for ne, pas and de alike
    ne, pas = ((Word("ne", no),), (Word("pas", no),)) if negated else ((), ())
    verb = (
        words("will", be) + words("be", be)
        if future
        else words("are" if phrase.agreement.plural else "is", be)
    )
    english = (verb + words("there", there)) if interrogative else (words("there", there) + verb)
    french = (
        words("il", there)
        + ne
        + words("y", there)
        + words("aura" if future else "a", be)
        + pas
        + phrase.french
    )
    return english + phrase.english + place[0], french + place[1]


def age(d: Derivation) -> Both:
    """An age: "Anna is twenty-one years old", "Anna a vingt et un ans"."""
    subject = (
        d.pronoun(SUBJECTS)
        if d.chance(0.5)
        else d.name()
        if d.chance(0.6)
        else d.noun_phrase(d.noun(among("kin")), "definite", False, relative=False)
    )
    value_en, value_fr = d.numeral(False)
    be, number, years = d.node(), d.node(), d.node()
    person, plural = subject.agreement.person, subject.agreement.plural
    finite = lexicon.CONJUGATIONS["avoir"].present[subject.agreement.form]
    english = words(en.be(person, plural), be) + words(value_en, number) + words("years old", years)
    return subject.english + english, subject.french + words(finite, be) + words(value_fr, number) + words(
        "ans", years
    )


def anaphora(d: Derivation) -> Both:
    """A pronoun for a noun: "Anna buys the apple and eats it". The French pronoun has the noun's gender."""
    objects = [
        v
        for v in VERBS
        if v.frame == "object" and v.tenses == lexicon.ALL and "person" in v.subjects and v.english != "drink"
    ]
    first = d.pick(objects)
    noun = d.noun(first.objects, lexicon.MASS)
    second = d.pick(
        [v for v in objects if v.key != first.key and (noun.kind in v.objects or noun.english in v.objects)]
        or [first]
    )
    subject = d.subject(first, relative=False)
    tense = d.tense(first)
    if tense == "past" and {first.english, second.english} & {"cut", "read", "put"}:
        tense = "present"
    d.use("verb", first.key, second.key)
    d.pair("object", first.key, noun.english)
    d.pair("object", second.key, noun.english)
    if subject.noun is not None:
        d.pair("subject", subject.noun.english, second.key)
    thing = d.noun_phrase(noun, "definite" if d.chance(0.6) else "new", relative=False)
    groups = Group(first, tense, d.nodes()), Group(second, tense, d.nodes())
    plural, feminine = thing.agreement.plural, thing.agreement.feminine
    it, link = d.node(), d.node()
    pronoun_en = "them" if plural else "it" if not noun.human else "her" if feminine else "him"
    pronoun_fr = words("les" if plural else "la" if feminine else "le", it)
    who = subject.agreement
    verbs_en = [sum(english_group(group, who, inverted=False), ()) for group in groups]
    english = (
        subject.english
        + verbs_en[0]
        + thing.english
        + words("and", link)
        + verbs_en[1]
        + words(pronoun_en, it)
    )
    french = subject.french + french_group(groups[0], who) + thing.french + words("et", link)
    return english, french + french_group(groups[1], who, pronoun_fr, thing.agreement)


def two_actions(d: Derivation) -> Both:
    """Two verbs with one subject: "She sings and dances"."""
    first, second = (
        d.pick([v for v in VERBS if not v.frame and v.tenses == lexicon.ALL]),
        d.pick([v for v in VERBS if not v.frame and "person" in v.subjects]),
    )
    while second.key == first.key:
        second = d.pick([v for v in VERBS if not v.frame and "person" in v.subjects])
    subject = d.subject(first, relative=False)
    if subject.noun is not None:
        if subject.noun.kind not in second.subjects and subject.noun.english not in second.subjects:
            second = next(v for v in VERBS if v.english == "walk")
        d.pair("subject", subject.noun.english, second.key)
    tense = d.tense(first)
    d.use("verb", first.key, second.key)
    link, who = d.node(), subject.agreement
    groups = Group(first, tense, d.nodes()), Group(second, tense, d.nodes())
    english = [sum(english_group(group, who, inverted=False), ()) for group in groups]
    auxiliaries = {(forms.auxiliary, forms.reflexive) for forms in (first.conjugation, second.conjugation)}
    same = tense == "past" and len(auxiliaries) == 1 and not first.conjugation.reflexive
    french = [french_group(group, who, after_same=same and group is groups[1]) for group in groups]
    return subject.english + english[0] + words("and", link) + english[1], subject.french + french[0] + words(
        "et", link
    ) + french[1]


CONJUNCTIONS = {
    "and": ("", "et"),
    "but": (",", "mais"),
    "because": ("", "parce que"),
    "while": ("", "pendant que"),
}


def join(d: Derivation, first: Both, second: Both, conjunction: str) -> Both:
    comma, french = CONJUNCTIONS[conjunction]
    d.use("conjunction", conjunction)
    node = d.node()
    mark = _mark(comma) if comma else ()
    return first[0] + mark + words(conjunction, node) + second[0], first[1] + mark + words(
        french, node
    ) + second[1]


def coordination(d: Derivation) -> Both:
    """Two short statements, joined by a conjunction."""
    first = statement(d, adjuncts=False)
    second = _following(d, first[2])
    return join(d, first[:2], second[:2], conjunction(d, first[2], second[2]))


def _following(d: Derivation, tense: str) -> tuple[Words, Words, str]:
    """A statement after another of that tense, in the same tense if its verb has it."""
    women, theys = d.feminine_plurals, d.theys
    second = statement(d, tense, adjuncts=False) if d.chance(0.8) else description(d)
    if women and d.theys > theys:  # they would be understood as those just named, and be elles
        d.rejected = True
    return second


def conjunction(d: Derivation, first: str, second: str, last: str = "") -> str:
    """A conjunction that fits the tenses of both clauses.

    It differs from the `last` one of a chain, because but and because in a row read badly.
    """
    weights = {
        "and": 35.0,
        "but": 25.0,
        "because": 25.0,
        "while": 15.0 if first == second == "present" else 0.0,
    }
    return d.weighted(
        {word: 0.0 if word == last and last != "and" else weight for word, weight in weights.items()}
    )


# Questions


QUESTION_WORDS = {"where": "où", "when": "quand", "why": "pourquoi"}


def question(d: Derivation) -> Both:
    """A question: "Does she ...?", or with where, when or why. French has "est-ce que"."""
    question_word = d.weighted({"": 45.0, "where": 20.0, "when": 17.0, "why": 18.0})
    frames = {"where": ("", "object"), "when": ("", "object", "to", "gift")}.get(question_word, ())
    verb = _verb(d, frames)
    while question_word in ("where", "when") and (verb.tenses != lexicon.ALL or verb.french == "mourir"):
        verb = _verb(d, frames)
    subject = d.subject(verb, relative=False)
    group = d.group(
        verb,
        subject.agreement,
        negation=question_word == "why" and not _universal(subject),
        interrogative=True,
    )
    if question_word in ("where", "when"):
        group = replace(group, adverb=None)
    complement = d.complement(group, subject.agreement)
    aux, rest = english_group(group, subject.agreement, inverted=True)
    rest = rest + complement.english
    french = (
        french_group(group, subject.agreement, complement.clitics, complement.accusative) + complement.french
    )
    return _ask(d, question_word, QUESTION_WORDS.get(question_word, ""), aux, subject, rest, french)


def _ask(
    d: Derivation, word_en: str, word_fr: str, aux: Words, subject: Phrase, rest: Words, french: Words
) -> Both:
    wh = d.node()
    if word_en:
        d.use("question", word_en)
    first_en = words(word_en, wh) if word_en else ()
    first_fr = words(word_fr, wh) if word_fr else ()
    asking = words("est-ce que", *aux[0].nodes)
    return first_en + aux + subject.english + rest, first_fr + asking + subject.french + french


def described_question(d: Derivation) -> Both:
    """A question about a description: "Is she happy?", "Why is the door open?"."""
    subject, adjective = _described(d)
    group = d.group(BE, subject.agreement, "present", negation=False)
    aux, rest = english_group(group, subject.agreement, inverted=True)
    english, french = _adjective(d, adjective, subject.agreement)
    question_word = "why" if d.chance(0.35) else ""
    return _ask(
        d,
        question_word,
        QUESTION_WORDS.get(question_word, ""),
        aux,
        subject,
        rest + english,
        french_group(group, subject.agreement) + french,
    )


def who_question(d: Derivation) -> Both:
    """A question for the subject: "Who sees the cat?", "Qui voit le chat ?"."""
    verb = d.pick([verb for verb in VERBS if "person" in verb.subjects])
    node = d.node()
    d.use("question", "who")
    group = d.group(verb, HE, negation=False)
    english, french = d.finish(group, HE)
    return words("who", node) + english, words("qui", node) + french


def object_question(d: Derivation) -> Both:
    """A question for the object: "What does she eat?", "Who does she see?", "How many apples did she eat?"

    The French participle agrees with its object.
    """
    kind = d.weighted({"what": 30.0, "who": 20.0, "how many": 25.0, "which": 25.0})
    verbs = [verb for verb in VERBS if verb.frame == "object" and "person" in verb.subjects]
    if kind == "who":
        verbs = [verb for verb in verbs if "person" in verb.objects]
    elif kind == "what":
        verbs = [verb for verb in verbs if "person" not in verb.objects]
    else:
        verbs = [verb for verb in verbs if verb.english != "drink"]  # nothing to count
    verb = d.pick(verbs)
    node, agreement = d.node(), HE
    d.use("question", kind)
    subject = d.subject(verb, relative=False)
    group = replace(d.group(verb, subject.agreement, negation=False, interrogative=True), adverb=None)
    aux, rest = english_group(group, subject.agreement, inverted=True)
    asking = words("est-ce que", *aux[0].nodes)
    if kind == "what":
        first_en, first_fr = words("what", node), words("qu'est-ce que", node)
        asking = ()
    elif kind == "who":
        first_en, first_fr = words("who", node), words("qui", node)
    else:
        noun = d.noun(verb.objects, lexicon.MASS | (among("kin") if kind == "how many" else frozenset()))
        d.pair("object", verb.key, noun.english)
        d.use("noun", noun.english)
        plural = kind == "how many" or (noun.kind != "kin" and d.chance(0.4))
        agreement = Agreement(3, plural, noun.feminine)
        head = d.node()
        first_en = words(kind, node) + words(noun.english_plural if plural else noun.english, head)
        which = fr.agree("quel", noun.feminine, plural) if kind == "which" else "combien de"
        first_fr = words(which, node) + words(noun.french_plural if plural else noun.french, head)
    french = french_group(group, subject.agreement, accusative=agreement)
    return first_en + aux + subject.english + rest, first_fr + asking + subject.french + french


def existence_question(d: Derivation) -> Both:
    english, french = existence(d, interrogative=True)
    return english, words("est-ce que", *english[0].nodes) + french


# Sentences

KINDS = {
    "statement": 47.0,
    "description": 9.0,
    "existence": 4.0,
    "age": 4.0,
    "anaphora": 5.0,
    "two_actions": 2.5,
    "coordination": 9.0,
    "question": 11.0,
    "described_question": 2.0,
    "who_question": 2.0,
    "object_question": 5.0,
    "existence_question": 1.0,
}
QUESTIONS = {
    "question": question,
    "described_question": described_question,
    "who_question": who_question,
    "object_question": object_question,
    "existence_question": existence_question,
}
STATEMENTS = {
    "statement": lambda d: statement(d)[:2],
    "description": lambda d: description(d)[:2],
    "existence": existence,
    "age": age,
    "anaphora": anaphora,
    "two_actions": two_actions,
    "coordination": coordination,
}


def _write(d: Derivation, both: Both, mark: str) -> Sentence:
    english = punctuate([*spell_english(both[0]), *_mark(mark)])
    french = punctuate([*spell_french(both[1]), *_mark(mark)])
    return Sentence(
        " ".join(word.text for word in english),
        " ".join(word.text for word in french),
        align(english, french),
        frozenset(d.pairs),
        frozenset(d.lemmas),
    )


def sentence(rng: random.Random, derivation: Callable[[random.Random], Derivation] = Derivation) -> Sentence:
    """A sentence of any kind. `derivation` makes the choices in it."""
    while True:
        d = derivation(rng)
        kind = d.weighted(KINDS)
        if kind in QUESTIONS:
            both, mark = QUESTIONS[kind](d), "?"
        else:
            both, mark = STATEMENTS[kind](d), "."
        if not d.rejected:
            return _write(d, both, mark)


def long_sentence(rng: random.Random, shortest: int) -> Sentence:
    """Joined statements of at least `shortest` words on both sides, with more and deeper relative clauses."""
    d = Derivation(rng, depth=2, relative_chance=0.4)
    english, french, tense = statement(d)
    last = ""
    while not d.rejected:
        written = _write(d, (english, french), ".")
        if min(written.lengths) >= shortest:
            return written
        second = _following(d, tense)
        last = conjunction(d, tense, second[2], last)
        (english, french), tense = join(d, (english, french), second[:2], last), second[2]
    return long_sentence(rng, shortest)
