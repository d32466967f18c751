"""The synchronous grammar: noun phrases, complements and clauses, derived in English and French at once.

The random generator makes every choice. Every word is tied to the node of the derivation for which it stands.
This module knows no kinds of sentences (`sentences`) and no spelling (`detokenise`).
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple, TypeVar

from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr
from seq2attn.samples.phrases import lexicon
from seq2attn.samples.phrases.detokenise import Words, words
from seq2attn.samples.phrases.lexicon import (
    ADJECTIVES,
    LANDS,
    NAMES,
    NOUNS,
    PREPOSITIONS,
    TIMES,
    VERBS,
    Adjective,
    Name,
    Noun,
    Verb,
)
from seq2attn.samples.phrases.tables import among
from seq2attn.samples.phrases.verb_groups import Agreement, Group, Nodes, english_group, french_group

Item = TypeVar("Item")
Pair = tuple[str, str, str]  # kind (adjective, subject, object) and two lemmas, English


@dataclass(frozen=True)
class Phrase:
    """A noun phrase or pronoun in both languages."""

    english: Words
    french: Words
    agreement: Agreement
    noun: Noun | None = None


@dataclass(frozen=True)
class Complement:
    """What follows the verb in both languages, and what French puts before it."""

    english: Words = ()
    french: Words = ()
    clitics: Words = ()
    accusative: Agreement | None = None


class Pronoun(NamedTuple):
    english: str
    french: str
    agreement: Agreement


HE, SHE, THEY = Agreement(3, False, False), Agreement(3, False, True), Agreement(3, True, False)
I, YOU, WE = Agreement(1, False, False), Agreement(2, False, False), Agreement(1, True, False)
SUBJECTS = (
    Pronoun("I", "je", I),
    Pronoun("you", "tu", YOU),
    Pronoun("he", "il", HE),
    Pronoun("she", "elle", SHE),
    Pronoun("we", "nous", WE),
    Pronoun("they", "ils", THEY),
)
DIRECT = (
    Pronoun("me", "me", I),
    Pronoun("you", "te", YOU),
    Pronoun("him", "le", HE),
    Pronoun("her", "la", SHE),
    Pronoun("us", "nous", WE),
    Pronoun("them", "les", THEY),
)
INDIRECT = tuple(
    pronoun._replace(french=french)
    for pronoun, french in zip(DIRECT, ("me", "te", "lui", "lui", "nous", "leur"), strict=True)
)
STRESSED = tuple(
    pronoun._replace(french=french)
    for pronoun, french in zip(DIRECT, ("moi", "toi", "lui", "elle", "nous", "eux"), strict=True)
)
OWNERS = {
    "my": (1, False),
    "your": (2, False),
    "his": (3, False),
    "her": (3, False),
    "our": (1, True),
    "their": (3, True),
}

# Kinds that few verbs take would be rare.
NOUN_WEIGHTS = {"dish": 4.0, "drink": 2.0, "furniture": 1.5, "instrument": 1.5}
SEVERAL_KIN = among("brother sister son daughter uncle aunt nephew niece")

# Determiners by the phrase's role and the noun's number; weights.
SINGULAR = {"the": 40, "a": 24, "my": 18, "this": 8, "'s": 6}
PLURAL = {"the": 36, "some": 16, "my": 12, "these": 8, "number": 18, "many": 5, "several": 5, "all the": 5}
MASS_NOUN = {"the": 40, "some": 36, "my": 16, "this": 8}
DETERMINERS = {
    "plain": (SINGULAR | {"every": 4}, PLURAL, MASS_NOUN),
    "definite": (
        {"the": 60, "my": 24, "this": 12, "'s": 8},
        {"the": 60, "my": 20, "these": 20},
        {"the": 60, "my": 30, "this": 10},
    ),
    "negated": (
        {"the": 40, "not a": 30, "my": 20, "this": 10},
        {"the": 40, "any": 30, "my": 20, "these": 10},
        {"the": 40, "any": 40, "my": 20},
    ),
    "generic": (
        {"the": 50, "my": 30, "this": 20},
        {"the": 20, "": 60, "my": 20},
        {"the": 20, "": 60, "my": 20},
    ),
    "new": ({"a": 100}, {"some": 30, "number": 40, "many": 20, "several": 20}, {"some": 100}),
    "none": ({"no": 100}, {"no": 100}, {"no": 100}),
    "place": ({"the": 80, "my": 12, "this": 8}, {"the": 100}, {"the": 100}),
    "the": ({"the": 100}, {"the": 100}, {"the": 100}),
    "mine": ({"my": 100}, {"my": 100}, {"my": 100}),
}
CONTENT = among("noun verb adjective name land adverb time")
AFFIRMATIVE = among("soon now") | {"a long time ago", "every day", "every evening"}
RELATIVISED = among("the a some number many")


@cache
def _suitable_nouns(allowed: frozenset[str], without: frozenset[str]) -> dict[str, float]:
    """Weights of the nouns that `allowed` names, by their English."""
    nouns = [
        noun
        for noun in NOUNS.values()
        if (noun.kind in allowed or noun.english in allowed) and noun.kind not in without
    ]
    return {noun.english: NOUN_WEIGHTS.get(noun.kind, 1.0) for noun in nouns}


@cache
def _suitable_adjectives(noun: Noun) -> list[Adjective]:
    return [
        adjective
        for adjective in ADJECTIVES.values()
        if noun.kind in adjective.kinds or noun.english in adjective.kinds
    ]


@dataclass
class Derivation:
    """One derivation: random choices, and what they have used.

    `depth` is how deeply relative clauses may nest. `pairs` are the pairs of lemmas that are combined,
    `lemmas` all lemmas. `rejected` says that the sentence reads badly (a content word occurs twice) and must
    be thrown away. Relative clauses, feminine plurals and the pronouns they and them are counted for callers
    that must avoid them.
    """

    rng: random.Random
    depth: int = 1
    relative_chance: float = 0.12
    pairs: set[Pair] = field(default_factory=set)
    lemmas: set[str] = field(default_factory=set)
    rejected: bool = False
    relatives: int = 0
    feminine_plurals: int = 0
    theys: int = 0
    _nodes: int = 0

    # choices

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights: Mapping[Item, float]) -> Item:
        point = self.rng.random() * sum(weights.values())
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        return item

    def node(self) -> int:
        self._nodes += 1
        return self._nodes

    def nodes(self) -> Nodes:
        return Nodes(self.node(), self.node(), self.node(), self.node())

    def use(self, kind: str, *lemmas: str) -> None:
        for lemma in lemmas:
            key = f"{kind}:{lemma}"
            self.rejected |= key in self.lemmas and kind in CONTENT
            self.lemmas.add(key)

    def pair(self, kind: str, first: str, second: str) -> None:
        self.pairs.add((kind, first, second))

    def tense(self, verb: Verb) -> str:
        weights = {"present": 45.0, "past": 35.0, "future": 20.0}
        return self.weighted({tense: weights[tense] for tense in verb.tenses})

    # noun phrases

    def noun(self, allowed: frozenset[str], without: frozenset[str] = frozenset()) -> Noun:
        """A noun that `allowed` names, by its kind or by itself, and whose kind is not in `without`."""
        return NOUNS[self.weighted(_suitable_nouns(allowed, without))]

    def adjectives(self, noun: Noun) -> list[Adjective]:
        """No adjective, one, or one before and one after the noun."""
        suitable = _suitable_adjectives(noun)
        if not suitable or not self.chance(0.45 if noun.kind in ("food", "dish", "drink") else 0.34):
            return []
        adjectives = [self.pick(suitable)]
        others = [adjective for adjective in suitable if adjective.before != adjectives[0].before]
        if others and self.chance(0.15):
            adjectives.append(self.pick(others))
        return sorted(adjectives, key=lambda adjective: not adjective.before)

    def noun_phrase(
        self,
        noun: Noun,
        role: str = "plain",
        plural: bool | None = None,
        relative: bool = True,
        adjectives: bool = True,
    ) -> Phrase:
        """A phrase with `noun`. `role` limits its determiners. `plural` None: chosen at random."""
        if plural is None:
            often = 0.25 if noun.human or noun.kind == "animal" else 0.35
            plural = (
                not noun.mass
                and role != "place"
                and (noun.kind != "kin" or noun.english in SEVERAL_KIN)
                and self.chance(often)
            )
        choices = dict(DETERMINERS[role][2 if noun.mass else int(plural)])
        if noun.kind == "kin" and role in ("plain", "definite", "negated", "generic", "place"):
            choices = {"my": 60, "'s": 20, "the": 20} if not plural else {"my": 80, "the": 20}
        elif not noun.owned:
            choices = {
                determiner: weight for determiner, weight in choices.items() if determiner not in ("my", "'s")
            }
        if role == "plain" and noun.kind == "part":
            choices |= {"of": 60}
        determiner = self.weighted(choices)
        modifiers = self.adjectives(noun) if adjectives and determiner not in ("of", "no") else []
        if determiner == "'s":
            modifiers = [adjective for adjective in modifiers if adjective.english not in lexicon.TAKE_DE]
        phrase = self._noun_phrase(noun, determiner, plural, modifiers)
        if (
            relative
            and self.depth > 0
            and determiner in RELATIVISED
            and noun.kind != "part"
            and self.chance(self.relative_chance)
        ):
            return self.with_relative(phrase)
        return phrase

    def _noun_phrase(self, noun: Noun, determiner: str, plural: bool, adjectives: list[Adjective]) -> Phrase:
        head, det = self.node(), self.node()
        self.use("noun", noun.english)
        tagged = [(adjective, self.node()) for adjective in adjectives]
        for adjective in adjectives:
            self.use("adjective", adjective.english)
            self.pair("adjective", adjective.english, noun.english)
        self.feminine_plurals += plural and noun.feminine
        # Words after the determiner. A French adjective before the noun may depend on the noun's first sound.
        noun_en = words(noun.english_plural if plural else noun.english, head)
        noun_fr = words(noun.french_plural if plural else noun.french, head)
        rest_en = (
            tuple(word for adjective, node in tagged for word in words(adjective.english, node)) + noun_en
        )
        before: Words = ()
        after: Words = ()
        for adjective, node in tagged:
            if adjective.before:
                before += words(fr.agree(adjective.french, noun.feminine, plural, noun_fr[0].text), node)
            else:
                after += words(fr.agree(adjective.french, noun.feminine, plural), node)
        rest_fr = before + noun_fr + after
        det_en, det_fr, tail_en, tail_fr = self._determiner(
            determiner, noun, plural, det, rest_fr[0].text, bool(before)
        )
        if determiner == "":  # bare plurals and masses: the French article stands for the English noun
            det_fr = words(det_fr[0].text, head)
        return Phrase(
            det_en + rest_en + tail_en, det_fr + rest_fr + tail_fr, Agreement(3, plural, noun.feminine), noun
        )

    def _determiner(
        self, determiner: str, noun: Noun, plural: bool, det: int, following: str, preposed: bool
    ) -> tuple[Words, Words, Words, Words]:
        """The determiner in English and French, and what follows the noun in English and French.

        A possessor may follow the noun.
        """
        article = words(fr.definite(noun.feminine, plural), det)
        match determiner:
            case "the" | "of":
                if determiner == "the":
                    return words("the", det), article, (), ()
                of = self.node()
                whole = self.noun_phrase(
                    self.noun(among("public house shop car")), "definite", False, relative=False
                )
                return (
                    words("the", det),
                    article,
                    words("of", of) + whole.english,
                    words("de", of) + whole.french,
                )
            case "":
                return (), article, (), ()
            case "a":
                return words("a", det), words(fr.indefinite(noun.feminine), det), (), ()
            case "some":
                if noun.mass:
                    return words("some", det), words("de", det) + article, (), ()
                return words("some", det), words("de" if preposed else "des", det), (), ()
            case "any" | "no" | "not a":
                return words(determiner.removeprefix("not "), det), words("de", det), (), ()
            case "this" | "these":
                return (
                    words(determiner, det),
                    words(fr.demonstrative(noun.feminine, plural, following), det),
                    (),
                    (),
                )
            case "my":
                owner = self.pick(list(OWNERS))
                french = fr.possessive(*OWNERS[owner], noun.feminine, plural, following)
                return words(owner, det), words(french, det), (), ()
            case "every":
                return words("every", det), words("chaque", det), (), ()
            case "several":
                return words("several", det), words("plusieurs", det), (), ()
            case "many":
                return words("many", det), words("beaucoup de", det), (), ()
            case "all the":
                every = self.node()
                return (
                    words("all", every) + words("the", det),
                    words("toutes" if noun.feminine else "tous", every) + article,
                    (),
                    (),
                )
            case "number":
                english, french = self.numeral(noun.feminine)
                return words(english, det), words(french, det), (), ()
            case "'s":
                owner_phrase = (
                    self.name()
                    if self.chance(0.6)
                    else self.noun_phrase(self.noun(among("person")), "the", False, relative=False)
                )
                owner_en = owner_phrase.english + words("'s", det)
                return owner_en, article, (), words("de", det) + owner_phrase.french
        raise ValueError(f"no determiner {determiner!r}")

    def number(self) -> int:
        """A number, mostly from 2 to 20, sometimes up to 100."""
        return 2 + int(self.rng.random() * 19) if self.chance(0.45) else 21 + int(self.rng.random() * 80)

    def numeral(self, feminine: bool) -> tuple[str, str]:
        """A number in both languages, before a noun or alone."""
        value = self.number()
        self.use("number", en.number(value))
        return en.number(value), fr.number(value, feminine)

    def proper_name(self) -> Name:
        return self.pick(NAMES)

    def name(self) -> Phrase:
        name = self.proper_name()
        node = self.node()
        self.use("name", name.english)
        return Phrase(words(name.english, node), words(name.french, node), Agreement(3, False, name.feminine))

    def pronoun(self, pronouns: Sequence[Pronoun]) -> Phrase:
        pronoun = self.pick(pronouns)
        node = self.node()
        self.use("pronoun", pronoun.english)
        self.theys += pronoun.agreement == THEY
        return Phrase(words(pronoun.english, node), words(pronoun.french, node), pronoun.agreement)

    def couple(self) -> Phrase:
        """Two joined subjects. They are masculine if one of them is."""
        second = (
            self.name()
            if self.chance(0.6)
            else self.noun_phrase(self.noun(among("kin")), "mine", False, relative=False, adjectives=False)
        )
        both = (self.name(), second)
        node = self.node()
        feminine = both[0].agreement.feminine and both[1].agreement.feminine
        self.feminine_plurals += feminine
        return Phrase(
            both[0].english + words("and", node) + both[1].english,
            both[0].french + words("et", node) + both[1].french,
            Agreement(3, True, feminine),
        )

    def subject(self, verb: Verb, relative: bool = True) -> Phrase:
        """A noun phrase or pronoun that can do what the verb says."""
        if "person" in verb.subjects:
            kind = self.weighted({"pronoun": 46.0, "name": 16.0, "couple": 4.0, "noun": 34.0})
            if kind == "pronoun":
                return self.pronoun(SUBJECTS)
            if kind == "name":
                return self.name()
            if kind == "couple":
                return self.couple()
        noun = self.noun(verb.subjects)
        self.pair("subject", noun.english, verb.key)
        return self.noun_phrase(noun, relative=relative)

    # relative clauses

    def with_relative(self, phrase: Phrase) -> Phrase:
        """The phrase with a relative clause on it: who, that + verb (qui) or that + clause (que)."""
        assert phrase.noun is not None
        noun, node = phrase.noun, self.node()
        as_subject = [v for v in VERBS if noun.kind in v.subjects or noun.english in v.subjects]
        as_object = [
            v for v in VERBS if v.frame == "object" and (noun.kind in v.objects or noun.english in v.objects)
        ]
        self.depth -= 1
        self.relatives += 1
        if as_subject and (not as_object or self.chance(0.55)):
            verb = self.pick(as_subject)
            self.pair("subject", noun.english, verb.key)
            english, french = self.predicate(verb, phrase.agreement)
            link_en, link_fr = words("who" if noun.human else "that", node), words("qui", node)
        elif as_object:
            verb = self.pick(as_object)
            self.pair("object", verb.key, noun.english)
            subject = self.subject(verb, relative=False)
            group = self.group(verb, subject.agreement, modal=False)
            aux, rest = english_group(group, subject.agreement, inverted=False)
            english = subject.english + aux + rest
            french = subject.french + french_group(group, subject.agreement, accusative=phrase.agreement)
            link_en, link_fr = words("that", node), words("que", node)
        else:
            self.depth += 1
            return phrase
        self.depth += 1
        return replace(
            phrase, english=phrase.english + link_en + english, french=phrase.french + link_fr + french
        )

    # verbs and complements

    def group(
        self,
        verb: Verb,
        subject: Agreement,
        tense: str = "",
        modal: bool = True,
        negation: bool = True,
        interrogative: bool = False,
    ) -> Group:
        """Tense, negation, adverb and modal of a verb."""
        self.use("verb", verb.key)
        negated = self.weighted({"": 78.0, "not": 17.0, "never": 5.0}) if negation else ""
        chosen_modal = ""
        if modal and not tense and verb.tenses == lexicon.ALL and self.chance(0.1):
            chosen_modal = self.pick(("can", "must", "want"))
            tense = "present"
            self.use("modal", chosen_modal)
            negated = "" if negated == "never" else negated
        tense = tense or self.tense(verb)
        # The simple past of cut, put and read looks like their present, except with "did" or as in "he cut".
        if (
            tense == "past"
            and en.past(verb.english) == verb.english
            and negated != "not"
            and not interrogative
            and not (subject.person == 3 and not subject.plural)
        ):
            tense = "present"
        adverb = None
        if not chosen_modal and negated != "never" and self.chance(0.08):
            english = self.pick(
                [a for a in lexicon.FREQUENCIES if negated == "" or a in lexicon.PLAIN_NEGATABLE]
            )
            adverb = (english, lexicon.FREQUENCIES[english])
            self.use("adverb", english)
        return Group(verb, tense, self.nodes(), negated, adverb, chosen_modal)

    def predicate(
        self, verb: Verb, subject: Agreement, tense: str = "", modal: bool = True
    ) -> tuple[Words, Words]:
        """Verb and complement of a statement or relative clause."""
        group = self.group(verb, subject, tense, modal)
        return self.finish(group, subject)

    def finish(self, group: Group, subject: Agreement) -> tuple[Words, Words]:
        complement = self.complement(group, subject)
        aux, rest = english_group(group, subject, inverted=False)
        manner_en, manner_early, manner_late = self.manner(group)
        french = french_group(group, subject, complement.clitics, complement.accusative, manner_early)
        return aux + rest + manner_en + complement.english, french + manner_late + complement.french

    def manner(self, group: Group) -> tuple[Words, Words, Words]:
        """An adverb of manner: English, French before the participle, French at the end."""
        verb = group.verb
        suitable = [
            english
            for english, (_, _, verbs) in lexicon.MANNERS.items()
            if verb.english in verbs and not verb.particle
        ]
        if verb.frame or group.adverb or group.modal or not suitable or not self.chance(0.25):
            return (), (), ()
        english = self.pick(suitable)
        self.use("adverb", english)
        french, early, _ = lexicon.MANNERS[english]
        node = self.node()
        return (
            words(english, node),
            words(french, node) if early else (),
            () if early else words(french, node),
        )

    def complement(self, group: Group, subject: Agreement) -> Complement:
        verb = group.verb
        match verb.frame:
            case "":
                return Complement()
            case "object":
                return self.direct_object(group, subject)
            case "gift":
                return self.gift(group, subject)
            case "place-object":
                thing = self.direct_object(group, subject)
                where = self.place(
                    ("on", "in", "under"), among("table bed chair kitchen bedroom sofa armchair")
                )
                return replace(thing, english=thing.english + where[0], french=thing.french + where[1])
            case "à" if self.chance(0.35):
                pronoun = self.pronoun(self.others(INDIRECT, subject))
                return Complement(english=pronoun.english, clitics=pronoun.french)
            case "à" | "de" | "dans":
                phrase = self.addressed(verb)
                # The English preposition, if any, is the verb's particle.
                node = group.nodes.meaning
                return Complement(phrase.english, words(verb.frame, node) + phrase.french)
        return self.destination(verb)

    def addressed(self, verb: Verb) -> Phrase:
        if "person" in verb.objects and self.chance(0.25):
            return self.name()
        noun = self.noun(verb.objects)
        self.pair("object", verb.key, noun.english)
        return self.noun_phrase(noun, "the" if noun.kind == "instrument" else "definite", relative=False)

    def others(self, pronouns: Sequence[Pronoun], subject: Agreement) -> list[Pronoun]:
        """The pronouns that are not the subject itself, because the grammar has no "I see me"."""
        return [p for p in pronouns if subject.person == 3 or p.agreement.person != subject.person]

    def direct_object(self, group: Group, subject: Agreement) -> Complement:
        verb = group.verb
        human = "person" in verb.objects
        if self.chance(0.28 if human else 0.1) and verb.english != "have":
            pronouns = self.others(DIRECT, subject) if human else [DIRECT[-1]]
            pronoun = self.pronoun(pronouns)
            return Complement(english=pronoun.english, clitics=pronoun.french, accusative=pronoun.agreement)
        if human and self.chance(0.12):
            name = self.name()
            return Complement(name.english, name.french)
        noun = self.noun(verb.objects)
        self.pair("object", verb.key, noun.english)
        role = (
            "generic"
            if verb.generic
            else "negated"
            if group.negation
            else "new"
            if verb.english == "have"
            else "plain"
        )
        phrase = self.noun_phrase(noun, role, relative=verb.frame != "place-object")
        return Complement(phrase.english, phrase.french)

    def gift(self, group: Group, subject: Agreement) -> Complement:
        """An object and its receiver: "gives him the book", "gives the book to Anna".

        The French clitic is indirect, so no participle agrees.
        """
        noun = self.noun(group.verb.objects)
        self.pair("object", group.verb.key, noun.english)
        role = "negated" if group.negation else "plain"
        thing = self.noun_phrase(noun, role, relative=False)
        if self.chance(0.5):
            pronoun = self.pronoun(self.others(INDIRECT, subject))
            return Complement(pronoun.english + thing.english, thing.french, clitics=pronoun.french)
        whom = (
            self.name()
            if self.chance(0.4)
            else self.noun_phrase(self.noun(among("kin person")), "definite", relative=False)
        )
        to = self.node()
        return Complement(
            thing.english + words("to", to) + whom.english, thing.french + words("à", to) + whom.french
        )

    def destination(self, verb: Verb) -> Complement:
        """A town, a country or a building to go to, come from or be in."""
        node = self.node()
        if "land" in verb.objects and self.chance(0.6 if len(verb.objects) > 1 else 1.0):
            land = self.pick(LANDS)
            self.use("land", land.english)
            where = self.node()
            preposition = land.source() if verb.frame == "from" else land.inside()
            first, *article = preposition.split(" ")
            french = (
                words(first, node) + (words(article[0], where) if article else ()) + words(land.french, where)
            )
            return Complement(words(verb.frame, node) + words(land.english, where), french)
        noun = self.noun(verb.objects)
        self.pair("object", verb.key, noun.english)
        place = self.noun_phrase(noun, "place", relative=False)
        preposition = {"to": "à", "at": "à", "from": "de", "in": "dans"}[verb.frame]
        return Complement(words(verb.frame, node) + place.english, words(preposition, node) + place.french)

    def place(self, prepositions: Collection[str] = (), allowed: Collection[str] = ()) -> tuple[Words, Words]:
        """A place: "in the garden", "under the table"."""
        options = []
        for preposition in PREPOSITIONS:
            if prepositions and preposition.english not in prepositions:
                continue
            nouns = [
                n
                for n in NOUNS.values()
                if (n.kind in preposition.kinds or n.english in preposition.kinds)
                and (not allowed or n.english in allowed)
            ]
            if nouns:
                options.append((preposition, nouns))
        preposition, nouns = self.pick(options)
        self.use("preposition", preposition.english)
        where = self.noun_phrase(self.pick(nouns), "place", relative=False)
        node = self.node()
        return words(preposition.english, node) + where.english, words(
            preposition.french, node
        ) + where.french

    def company(self) -> tuple[Words, Words]:
        """Company: "with him", "with Anna", "without his sister"."""
        english, french = self.pick((("with", "avec"), ("with", "avec"), ("without", "sans")))
        self.use("preposition", english)
        kind = self.weighted({"pronoun": 35.0, "name": 30.0, "noun": 35.0})
        who = (
            self.pronoun([p for p in STRESSED if p.agreement.person == 3])
            if kind == "pronoun"
            else self.name()
            if kind == "name"
            else self.noun_phrase(self.noun(among("kin person")), "definite", relative=False)
        )
        node = self.node()
        return words(english, node) + who.english, words(french, node) + who.french

    def time(self, group: Group) -> tuple[Words, Words]:
        """A time. "Soon" and the like do not go with what does not happen."""
        adverbial = self.pick(
            [
                a
                for a in TIMES
                if group.tense in a.tenses and not (group.negation and a.english in AFFIRMATIVE)
            ]
        )
        self.use("time", adverbial.english)
        node = self.node()
        return words(adverbial.english, node), words(adverbial.french, node)
