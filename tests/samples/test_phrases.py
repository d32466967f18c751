"""The corpus `phrases`: its French against hand-checked forms and forbidden spellings, its splits against
what they promise.
"""

import itertools
import random
import re
import sys
from collections import Counter

import pytest

from seq2attn.data.bundled import bundled_folder
from seq2attn.samples import phrases
from seq2attn.samples.phrases import __main__ as command
from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr
from seq2attn.samples.phrases import lexicon
from seq2attn.samples.phrases.corpus import (
    LONG,
    LONGEST,
    MIN_OCCURRENCES,
    SIZES,
    Sentence,
    forms,
    held_out,
    parts,
    stream,
)
from seq2attn.samples.phrases.detokenise import align, punctuate, spell_english, spell_french, words
from seq2attn.samples.phrases.grammar import Derivation
from seq2attn.samples.phrases.verb_groups import Agreement, Group, Nodes, english_group, french_group


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Sentence]]:
    return phrases.splits(1, SIZES)


@pytest.fixture(scope="module")
def everything(splits) -> list[Sentence]:
    return [*itertools.chain(*splits.values()), *itertools.islice(stream(8), 4_000)]


# French, form by form


@pytest.mark.parametrize(
    ("verb", "present", "future", "participle"),
    [
        ("manger", "mange manges mange mangeons mangez mangent", "mangerai", "mangé"),
        ("acheter", "achète achètes achète achetons achetez achètent", "achèterai", "acheté"),
        ("appeler", "appelle appelles appelle appelons appelez appellent", "appellerai", "appelé"),
        ("jeter", "jette jettes jette jetons jetez jettent", "jetterai", "jeté"),
        ("préférer", "préfère préfères préfère préférons préférez préfèrent", "préférerai", "préféré"),
        ("protéger", "protège protèges protège protégeons protégez protègent", "protégerai", "protégé"),
        ("nettoyer", "nettoie nettoies nettoie nettoyons nettoyez nettoient", "nettoierai", "nettoyé"),
        ("envoyer", "envoie envoies envoie envoyons envoyez envoient", "enverrai", "envoyé"),
        (
            "commencer",
            "commence commences commence commençons commencez commencent",
            "commencerai",
            "commencé",
        ),
        ("finir", "finis finis finit finissons finissez finissent", "finirai", "fini"),
        ("sortir", "sors sors sort sortons sortez sortent", "sortirai", "sorti"),
        ("ouvrir", "ouvre ouvres ouvre ouvrons ouvrez ouvrent", "ouvrirai", "ouvert"),
        ("vendre", "vends vends vend vendons vendez vendent", "vendrai", "vendu"),
        ("apprendre", "apprends apprends apprend apprenons apprenez apprennent", "apprendrai", "appris"),
        ("peindre", "peins peins peint peignons peignez peignent", "peindrai", "peint"),
        (
            "reconnaître",
            "reconnais reconnais reconnaît reconnaissons reconnaissez reconnaissent",
            "reconnaîtrai",
            "reconnu",
        ),
        (
            "construire",
            "construis construis construit construisons construisez construisent",
            "construirai",
            "construit",
        ),
        ("décrire", "décris décris décrit décrivons décrivez décrivent", "décrirai", "décrit"),
        ("sourire", "souris souris sourit sourions souriez sourient", "sourirai", "souri"),
        ("revenir", "reviens reviens revient revenons revenez reviennent", "reviendrai", "revenu"),
        ("s'endormir", "endors endors endort endormons endormez endorment", "endormirai", "endormi"),
    ],
)
def test_conjugate_equals_the_grammar(verb, present, future, participle):
    forms = fr.conjugate(verb)
    assert (" ".join(forms.present), forms.future[0], forms.participle) == (present, future, participle)


def test_conjugate_chooses_the_auxiliary():
    assert {
        verb
        for verb in ("aller", "manger", "se laver", "tomber", "courir", "venir")
        if fr.conjugate(verb).auxiliary == "être"
    } == {"aller", "se laver", "tomber", "venir"}


@pytest.mark.parametrize(
    ("adjective", "four"),
    [
        ("petit", "petit petite petits petites"),
        ("beau", "beau belle beaux belles"),
        ("vieux", "vieux vieille vieux vieilles"),
        ("heureux", "heureux heureuse heureux heureuses"),
        ("frais", "frais fraîche frais fraîches"),
        ("loyal", "loyal loyale loyaux loyales"),
        ("actif", "actif active actifs actives"),
        ("léger", "léger légère légers légères"),
        ("italien", "italien italienne italiens italiennes"),
        ("bleu", "bleu bleue bleus bleues"),
        ("gris", "gris grise gris grises"),
        ("turc", "turc turque turcs turques"),
        ("marron", "marron marron marron marron"),
    ],
)
def test_agree_inflects_adjectives(adjective, four):
    assert (
        " ".join(
            fr.agree(adjective, feminine, plural) for plural in (False, True) for feminine in (False, True)
        )
        == four
    )


def test_agree_of_an_adjective_before_a_vowel():
    assert fr.agree("vieux", False, False, "homme") == "vieil"
    assert fr.agree("vieux", False, False, "héros") == "vieux"
    assert fr.agree("beau", False, True, "arbres") == "beaux"
    assert fr.agree("nouveau", True, False, "école") == "nouvelle"


@pytest.mark.parametrize(
    ("value", "feminine", "text"),
    [
        (2, False, "deux"),
        (17, False, "dix-sept"),
        (21, False, "vingt et un"),
        (21, True, "vingt et une"),
        (22, True, "vingt-deux"),
        (70, False, "soixante-dix"),
        (71, True, "soixante et onze"),
        (78, False, "soixante-dix-huit"),
        (80, False, "quatre-vingts"),
        (81, True, "quatre-vingt-une"),
        (91, False, "quatre-vingt-onze"),
        (99, False, "quatre-vingt-dix-neuf"),
        (100, False, "cent"),
    ],
)
def test_number_writes_french_words(value, feminine, text):
    assert fr.number(value, feminine) == text


def test_determiners_agree_with_their_noun():
    assert fr.possessive(1, False, True, False, "amie") == "mon"
    assert fr.possessive(1, False, True, False, "jolie") == "ma"
    assert fr.possessive(2, False, True, False, "histoire") == "ton"
    assert fr.possessive(3, False, True, False, "hache") == "sa"
    assert fr.possessive(3, True, True, True, "amies") == "leurs"
    assert [fr.demonstrative(False, False, noun) for noun in ("homme", "hibou", "chat")] == [
        "cet",
        "ce",
        "ce",
    ]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("de le homme", "de l'homme"),
        ("de le garçon", "du garçon"),
        ("de les garçons", "des garçons"),
        ("à le hôtel", "à l'hôtel"),
        ("à le hibou", "au hibou"),
        ("à les États-Unis", "aux États-Unis"),
        ("la héroïne que elle aime", "l'héroïne qu'elle aime"),
        ("je ne hurle pas", "je ne hurle pas"),
        ("je habite", "j'habite"),
        ("tu te endors", "tu t'endors"),
        ("il ne y a pas de arbre", "il n'y a pas d'arbre"),
        ("parce que onze amis", "parce que onze amis"),
        ("le yaourt de Anna", "le yaourt d'Anna"),
        ("de le œuf", "de l'œuf"),
    ],
)
def test_spell_french_elides_and_contracts(tokens, text):
    assert " ".join(word.text for word in spell_french(words(tokens))) == text


HE, SHE, THEY, WE = (
    Agreement(3, False, False),
    Agreement(3, False, True),
    Agreement(3, True, False),
    Agreement(1, True, False),
)
WOMEN, YOU, I_AM = Agreement(3, True, True), Agreement(2, False, False), Agreement(1, False, False)
VERB = {verb.key: verb for verb in lexicon.VERBS}


@pytest.mark.parametrize(
    ("verb", "tense", "options", "subject", "clitic", "object_", "english", "french"),
    [
        ("see", "present", {}, ("he", "il", HE), ("them", "les"), THEY, "he sees them", "il les voit"),
        ("see", "past", {}, ("he", "il", HE), ("them", "les"), THEY, "he saw them", "il les a vus"),
        (
            "see",
            "past",
            {"negation": "not"},
            ("she", "elle", SHE),
            ("her", "la"),
            SHE,
            "she did not see her",
            "elle ne l'a pas vue",
        ),
        (
            "look for",
            "future",
            {"negation": "never"},
            ("we", "nous", WE),
            ("you", "te"),
            YOU,
            "we will never look for you",
            "nous ne te chercherons jamais",
        ),
        ("take", "past", {}, ("I", "je", I_AM), ("them", "les"), WOMEN, "I took them", "je les ai prises"),
        (
            "see",
            "present",
            {"modal": "can", "negation": "not"},
            ("he", "il", HE),
            ("her", "la"),
            SHE,
            "he cannot see her",
            "il ne peut pas la voir",
        ),
        (
            "open",
            "present",
            {"modal": "want"},
            ("she", "elle", SHE),
            ("it", "le"),
            HE,
            "she wants to open it",
            "elle veut l'ouvrir",
        ),
        (
            "talk to",
            "past",
            {},
            ("she", "elle", SHE),
            ("them", "leur"),
            None,
            "she talked to them",
            "elle leur a parlé",
        ),
        (
            "leave ()",
            "past",
            {"negation": "not"},
            ("the girls", "les filles", WOMEN),
            None,
            None,
            "the girls did not leave",
            "les filles ne sont pas parties",
        ),
        ("fall asleep", "past", {}, ("you", "tu", YOU), None, None, "you fell asleep", "tu t'es endormi"),
        (
            "get up",
            "past",
            {"negation": "not"},
            ("she", "elle", SHE),
            None,
            None,
            "she did not get up",
            "elle ne s'est pas levée",
        ),
        (
            "rest ()",
            "present",
            {"modal": "must"},
            ("we", "nous", WE),
            None,
            None,
            "we must rest",
            "nous devons nous reposer",
        ),
        (
            "call",
            "past",
            {"adverb": ("often", "souvent")},
            ("he", "il", HE),
            ("her", "la"),
            SHE,
            "he often called her",
            "il l'a souvent appelée",
        ),
        (
            "be afraid of",
            "present",
            {"negation": "not"},
            ("I", "je", I_AM),
            None,
            None,
            "I am not afraid of",
            "je n'ai pas peur",
        ),
    ],
)
def test_verb_group_in_english_and_french(verb, tense, options, subject, clitic, object_, english, french):
    known = VERB.get(verb) or VERB[f"{verb} ()"]
    group = Group(known, tense, Nodes(1, 2, 3, 4), **options)
    aux, rest = english_group(group, subject[2], inverted=False)
    source = words(subject[0], 5) + aux + rest + (words(clitic[0], 6) if clitic else ())
    target = words(subject[1], 5) + french_group(
        group, subject[2], words(clitic[1], 6) if clitic else (), object_
    )
    assert " ".join(word.text for word in spell_english(source)) == english
    assert " ".join(word.text for word in spell_french(target)) == french


def test_align_follows_elided_words():
    group = Group(VERB["see"], "past", Nodes(1, 2, 3, 4), negation="not")
    source = (
        words("she", 5) + sum(english_group(group, SHE, inverted=False), ()) + words("her", 6) + words(".")
    )
    target = words("elle", 5) + french_group(group, SHE, words("la", 6), SHE) + words(".")
    source, target = punctuate(spell_english(source)), punctuate(spell_french(target))
    assert " ".join(word.text for word in target) == "Elle ne l'a pas vue."
    assert align(source, target) == "0-0 1-2 2-1 2-3 3-4 4-2"


def test_english_spelling():
    assert [en.article(word) for word in ("apple", "university", "honest", "useful", "bee")] == [
        "an",
        "a",
        "an",
        "a",
        "a",
    ]
    assert [en.past(verb) for verb in ("carry", "stop", "live", "buy", "play")] == [
        "carried",
        "stopped",
        "lived",
        "bought",
        "played",
    ]
    assert [en.plural(noun) for noun in ("box", "lady", "toy", "peach")] == [
        "boxes",
        "ladies",
        "toys",
        "peaches",
    ]


def test_noun_phrases_agree():
    d = Derivation(random.Random(1))
    big, red, old = (lexicon.ADJECTIVES[name] for name in ("big", "red", "old"))

    def phrase(noun: str, determiner: str, plural: bool, *adjectives) -> tuple[str, str]:
        made = d._noun_phrase(lexicon.NOUNS[noun], determiner, plural, list(adjectives))
        return " ".join(w.text for w in spell_english(made.english)), " ".join(
            w.text for w in spell_french(made.french)
        )

    assert phrase("car", "the", True, big, red) == ("the big red cars", "les grandes voitures rouges")
    assert phrase("computer", "this", False, old) == ("this old computer", "ce vieil ordinateur")
    assert phrase("computer", "this", False) == ("this computer", "cet ordinateur")
    assert phrase("car", "some", True, big) == ("some big cars", "de grandes voitures")
    assert phrase("car", "some", True, red) == ("some red cars", "des voitures rouges")
    assert phrase("water", "some", False) == ("some water", "de l'eau")
    assert phrase("umbrella", "not a", False) == ("an umbrella", "de parapluie")
    assert phrase("potato", "many", True) == ("many potatoes", "beaucoup de pommes de terre")
    assert phrase("apple", "all the", True) == ("all the apples", "toutes les pommes")


# French, over many sentences

PREPOSED = (
    "petite?s|grande?s|beaux|belles|vieux|vieilles|bonn?e?s|jeunes|nouveaux|nouvelles|jolie?s|longue?s|haute?s"
    "|mauvaise?s"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(le|la|je|me|te|se|ne|de|que) (?!onze)[aeiouàâéèêîôœ]",
        r"\b(le|la|je|ne|de|que) h(?!aut|ér|amst|ib|arp|ach|aric|omar|url|uit)",
        r"'(h(ibou|amst|ériss|éros|aric|ach|omar|arp|aut|url|uit)|onze|yaourt)",
        r"\b(de|à) les?\b",
        r"\b(ma|ta|sa|ce) (?!onze)[aeiouàâéèêîôœ]",
        r"\b(un|cet|ce|le|mon|ton|son|du|au) (beau|nouveau|vieux) ([aeiouéèêœ]|hô|hom(?!ard)|hor)",
        r"\b(pas|jamais) (de|d') (un|une|des|du)\b",
        rf"\b(ai|as|a|avons|ont|mange|mangent|voit|voient) des ({PREPOSED}) ",
        r"\b(je|tu|il|elle|nous|ils) (je|tu|il|elle|ils)\b",
        r"  |^ | $| [.,?]",
    ],
)
def test_splits_hold_no_impossible_french(everything, pattern):
    text = "\n".join(s.french for s in everything).lower()
    assert [
        text[max(0, hit.start() - 30) : hit.end() + 30] for hit in re.finditer(pattern, text, re.MULTILINE)
    ] == []


@pytest.mark.slow
def test_splits_hold_every_construction(splits):
    text = "\n".join(s.french for s in splits["train"]).lower()
    for construction in (
        "l'",
        "d'",
        "j'",
        "qu'",
        "n'",
        "s'",
        "m'",
        "t'",
        "du ",
        "au ",
        "aux ",
        "est-ce qu",
        "il y a ",
        "quatre-vingt",
        " et onze",
        "mon ",
    ):
        assert construction in text
    assert re.search(r"\b(que|qu'\w+) .*\w+ées?\b", text)  # a participle that agrees with what que stands for
    assert re.search(r"\bl'a \w+ée\b", text)


@pytest.mark.slow
def test_english_determines_french(everything):
    first: dict[str, str] = {}
    for s in everything:
        assert first.setdefault(s.english, s.french) == s.french


# The splits


@pytest.mark.slow
def test_splits_share_no_sentence(splits):
    assert {name: len(sentences) for name, sentences in splits.items()} == SIZES
    assert max(Counter(s.english for s in itertools.chain(*splits.values())).values()) == 1


@pytest.mark.slow
def test_write_reproduces_the_files_of_the_package(splits, tmp_path):
    phrases.write(tmp_path, splits)
    bundled = bundled_folder("phrases")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in bundled.iterdir() if path.suffix != ".md"
    )
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (bundled / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_main_writes_the_sizes_of_its_options(tmp_path, monkeypatch):
    sizes = [
        "--train",
        "500",
        "--valid",
        "20",
        "--test",
        "20",
        "--test-compositional",
        "0",
        "--test-long",
        "2",
    ]
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        monkeypatch.setattr(sys, "argv", ["phrases", str(tmp_path / name), "--seed", seed, *sizes])
        command.main()
    first, again, other = ((tmp_path / name / "train.en").read_text() for name in "abc")
    assert first == again != other
    assert first.count("\n") == 500
    assert [s.english for s in phrases.generate(50, 5)] == [s.english for s in phrases.generate(60, 5)][:50]


@pytest.mark.slow
def test_splits_keep_their_bounds_of_length(splits):
    longest = [max(s.lengths[side] for s in splits["train"]) for side in (0, 1)]
    assert max(longest) <= LONGEST
    for s in splits["test_long"]:
        assert LONG[0] <= min(s.lengths)
        assert max(s.lengths) <= LONG[1]
        assert all(length > limit for length, limit in zip(s.lengths, longest, strict=True))
    assert (
        max(max(s.lengths) for name in ("valid", "test", "test_compositional") for s in splits[name])
        <= LONGEST
    )


@pytest.mark.slow
def test_compositional_pairs_are_new_and_their_parts_known(splits):
    train = splits["train"]
    counts = Counter(part for s in train for part in {part for pair in s.pairs for part in parts(pair)})
    combinations = set().union(
        *(s.pairs for name, sentences in splits.items() if name != "test_compositional" for s in sentences)
    )
    kinds = Counter()
    for s in splits["test_compositional"]:
        new = {pair for pair in s.pairs if held_out(pair, 1)}
        assert new
        assert not new & combinations
        assert all(counts[part] >= MIN_OCCURRENCES for pair in new for part in parts(pair))
        kinds.update(kind for kind, _, _ in new)
    assert set(kinds) == {"adjective", "subject", "object"}
    assert min(kinds.values()) > 100


@pytest.mark.slow
def test_compositional_adjectives_never_stand_before_their_noun_elsewhere(splits):
    """The same from the text alone, whatever the derivation says."""
    pairs = {
        pair
        for s in splits["test_compositional"]
        for pair in s.pairs
        if pair[0] == "adjective" and held_out(pair, 1)
    }
    text = "\n".join(
        s.english.lower()
        for name, sentences in splits.items()
        if name != "test_compositional"
        for s in sentences
    )
    bigrams = set(re.findall(r"(?=\b([\w-]+ [\w-]+))", text))
    assert len(pairs) > 100
    for _, adjective, noun in pairs:
        entry = lexicon.NOUNS[noun]
        assert (
            not {f"{adjective} {entry.english}".lower(), f"{adjective} {entry.english_plural}".lower()}
            & bigrams
        )


@pytest.mark.slow
def test_word_forms_of_the_hard_splits_are_in_training(splits):
    known_en = set().union(*(forms(s.english) for s in splits["train"]))
    known_fr = set().union(*(forms(s.french) for s in splits["train"]))
    for s in (*splits["test_compositional"], *splits["test_long"]):
        assert forms(s.english) <= known_en
        assert forms(s.french) <= known_fr


@pytest.mark.slow
def test_alignments_cover_every_word(everything):
    for s in everything:
        links = [tuple(map(int, link.split("-"))) for link in s.alignment.split()]
        assert links == sorted(set(links))
        assert {i for i, _ in links} == set(range(len(s.english.split()))), s
        assert {j for _, j in links} == set(range(len(s.french.split()))), s


@pytest.mark.slow
def test_splits_hold_every_lemma_often(splits):
    counts = Counter(lemma for s in splits["train"] for lemma in s.lemmas)
    assert (
        len([lemma for lemma in counts if lemma.split(":")[0] in ("noun", "verb", "adjective", "adverb")])
        >= 400
    )
    assert {n for n in lexicon.NOUNS if counts[f"noun:{n}"] < 15} == set()
    assert {v.key for v in lexicon.VERBS if counts[f"verb:{v.key}"] < 40} == set()
    assert {a for a in lexicon.ADJECTIVES if counts[f"adjective:{a}"] < 15} == set()


def test_lexicon_refers_only_to_its_words():
    known = {noun.kind for noun in lexicon.NOUNS.values()} | set(lexicon.NOUNS) | {"land"}
    for entry in (*lexicon.VERBS, lexicon.HAVE):
        assert entry.subjects | entry.objects <= known, entry
    for entry in (*lexicon.ADJECTIVES.values(), *lexicon.PREPOSITIONS):
        assert entry.kinds <= known, entry
    assert known >= lexicon.OWNED
