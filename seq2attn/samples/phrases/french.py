"""French word forms by rule and table: plurals, feminines, verbs, determiners, numerals, elision and
contraction.

This module knows spelling and agreement, and neither meaning nor English nor sentences. The spelling is the
traditional one (before 1990).
"""

from typing import NamedTuple

from seq2attn.samples.phrases.tables import among, listed

VOWELS = frozenset("aeiouyàâäéèêëîïôöùûüœæ")

# No elision and no liaison before these, although they begin with h or with a vowel letter.
ASPIRATED = among(
    "héros hibou hiboux hamster hamsters hérisson hérissons haricot haricots hache haches homard homards "
    "harpe harpes "
    "haut haute hauts hautes hurler huit onze yaourt yaourts"
)


def elides(word: str) -> bool:
    """Whether le, la, je, me, te, se, ne, de and que lose their vowel before `word`."""
    first = word.lower()
    if first in ASPIRATED or first.startswith("hurl"):
        return False
    return first[0] == "h" or first == "y" or (first[0] in VOWELS and first[0] != "y")


ELIDING = among("le la je me te se ne de que")
CONTRACTED = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}


# Nouns and adjectives


def plural(word: str) -> str:
    """The regular plural of a masculine noun or adjective (and of any noun)."""
    if word[-1] in "sxz":
        return word
    if word.endswith(("eau", "eu")) and word != "bleu":
        return word + "x"
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + "s"


FEMININES = {
    "beau": "belle",
    "nouveau": "nouvelle",
    "vieux": "vieille",
    "fou": "folle",
    "blanc": "blanche",
    "frais": "fraîche",
    "sec": "sèche",
    "long": "longue",
    "public": "publique",
    "grec": "grecque",
    "turc": "turque",
    "doux": "douce",
    "jaloux": "jalouse",
    "bon": "bonne",
    "gros": "grosse",
    "gentil": "gentille",
    "violet": "violette",
    "favori": "favorite",
    "complet": "complète",
    "inquiet": "inquiète",
    "discret": "discrète",
}
INVARIABLE = among("marron")
BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil"}


def feminine(adjective: str) -> str:
    """The feminine singular of a masculine singular adjective."""
    if adjective in FEMININES:
        return FEMININES[adjective]
    if adjective[-1] == "e" or adjective in INVARIABLE:
        return adjective
    if adjective.endswith("er"):
        return adjective[:-2] + "ère"
    if adjective.endswith("eux"):
        return adjective[:-1] + "se"
    if adjective[-1] == "f":
        return adjective[:-1] + "ve"
    if adjective.endswith(("el", "en", "on")):
        return adjective + adjective[-1] + "e"
    return adjective + "e"


def agree(adjective: str, is_feminine: bool, is_plural: bool, following: str | None = None) -> str:
    """An adjective or participle in the given gender and number.

    `following` is the word after it, if that word is its noun.
    """
    if adjective in INVARIABLE:
        return adjective
    if is_feminine:
        return feminine(adjective) + ("s" if is_plural else "")
    if is_plural:
        return plural(adjective)
    if following is not None and adjective in BEFORE_VOWEL and elides(following):
        return BEFORE_VOWEL[adjective]
    return adjective


# Determiners: chosen by the noun's gender and number and by the word that follows


def definite(is_feminine: bool, is_plural: bool) -> str:
    return "les" if is_plural else "la" if is_feminine else "le"


def indefinite(is_feminine: bool) -> str:
    return "une" if is_feminine else "un"


def demonstrative(is_feminine: bool, is_plural: bool, following: str) -> str:
    if is_plural:
        return "ces"
    return "cette" if is_feminine else "cet" if elides(following) else "ce"


def possessive(owner: int, owners: bool, is_feminine: bool, is_plural: bool, following: str) -> str:
    """`owner` is the person 1, 2 or 3 of one owner, or of several (`owners`)."""
    if owners:
        return {1: ("notre", "nos"), 2: ("votre", "vos"), 3: ("leur", "leurs")}[owner][is_plural]
    letter = "mts"[owner - 1]
    if is_plural:
        return letter + "es"
    return letter + ("a" if is_feminine and not elides(following) else "on")


# Numerals

UNITS = listed(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
)
TENS = {2: "vingt", 3: "trente", 4: "quarante", 5: "cinquante", 6: "soixante", 8: "quatre-vingt"}


def number(value: int, is_feminine: bool) -> str:
    """1 to 100 in words, before a noun. Spaces separate words that the traditional spelling separates."""
    if value == 100:
        return "cent"
    if value < 17:
        return "une" if value == 1 and is_feminine else UNITS[value]
    if value < 20:
        return "dix-" + UNITS[value - 10]
    tens, unit = divmod(value, 10)
    if tens in (7, 9):
        tens, unit = tens - 1, unit + 10
    if unit == 0:
        return TENS[tens] + ("s" if tens == 8 else "")
    link = " et " if unit in (1, 11) and tens != 8 else "-"
    return TENS[tens] + link + number(unit, is_feminine)


# Verbs


class Conjugation(NamedTuple):
    """The forms of a verb.

    Present and future have the order je, tu, il, nous, vous, ils. The participle is masculine singular.
    """

    infinitive: str
    present: tuple[str, ...]
    future: tuple[str, ...]
    participle: str
    auxiliary: str
    reflexive: bool


# infinitive: present (six forms), stem of the future, participle
IRREGULAR = {
    "être": ("suis es est sommes êtes sont", "ser", "été"),
    "avoir": ("ai as a avons avez ont", "aur", "eu"),
    "aller": ("vais vas va allons allez vont", "ir", "allé"),
    "pouvoir": ("peux peux peut pouvons pouvez peuvent", "pourr", "pu"),
    "vouloir": ("veux veux veut voulons voulez veulent", "voudr", "voulu"),
    "devoir": ("dois dois doit devons devez doivent", "devr", "dû"),
    "voir": ("vois vois voit voyons voyez voient", "verr", "vu"),
    "boire": ("bois bois boit buvons buvez boivent", "boir", "bu"),
    "lire": ("lis lis lit lisons lisez lisent", "lir", "lu"),
    "courir": ("cours cours court courons courez courent", "courr", "couru"),
    "mourir": ("meurs meurs meurt mourons mourez meurent", "mourr", "mort"),
    "recevoir": ("reçois reçois reçoit recevons recevez reçoivent", "recevr", "reçu"),
    "naître": ("nais nais naît naissons naissez naissent", "naîtr", "né"),
    "suivre": ("suis suis suit suivons suivez suivent", "suivr", "suivi"),
    "mettre": ("mets mets met mettons mettez mettent", "mettr", "mis"),
}

# How a verb ends, the endings of the present after the rest, of the future stem, and of the participle; the
# first that fits counts.
FAMILIES = (
    ("prendre", "prends prends prend prenons prenez prennent", "prendr", "pris"),
    ("venir", "viens viens vient venons venez viennent", "viendr", "venu"),
    ("écrire", "écris écris écrit écrivons écrivez écrivent", "écrir", "écrit"),
    ("rire", "ris ris rit rions riez rient", "rir", "ri"),
    ("aître", "ais ais aît aissons aissez aissent", "aîtr", "u"),
    ("uire", "uis uis uit uisons uisez uisent", "uir", "uit"),
    ("eindre", "eins eins eint eignons eignez eignent", "eindr", "eint"),
    ("vrir", "vre vres vre vrons vrez vrent", "vrir", "vert"),
    ("ffrir", "ffre ffres ffre ffrons ffrez ffrent", "ffrir", "ffert"),
    ("dormir", "dors dors dort dormons dormez dorment", "dormir", "dormi"),
    ("servir", "sers sers sert servons servez servent", "servir", "servi"),
    ("partir", "pars pars part partons partez partent", "partir", "parti"),
    ("sortir", "sors sors sort sortons sortez sortent", "sortir", "sorti"),
    ("ir", "is is it issons issez issent", "ir", "i"),
    ("re", "s s  ons ez ent", "r", "u"),
)

WITH_ETRE = among(
    "aller venir revenir devenir arriver partir sortir entrer rentrer monter descendre tomber rester naître "
    "mourir"
)
DOUBLING = among("appeler jeter")
GRAVE = among("acheter lever promener")
FUTURE = listed("ai as a ons ez ont")


def conjugate(verb: str) -> Conjugation:
    """All forms of a verb given as in a dictionary: `manger`, `s'habiller`, `se lever`."""
    infinitive = verb.removeprefix("se ").removeprefix("s'")
    reflexive = infinitive != verb
    present, stem, participle = _forms(infinitive)
    return Conjugation(
        infinitive,
        tuple(present),
        tuple(stem + ending for ending in FUTURE),
        participle,
        "être" if reflexive or infinitive in WITH_ETRE else "avoir",
        reflexive,
    )


def _forms(infinitive: str) -> tuple[list[str], str, str]:
    if infinitive in IRREGULAR:
        present, stem, participle = IRREGULAR[infinitive]
        return present.split(), stem, participle
    if infinitive.endswith("er"):
        return _first_group(infinitive)
    for ending, present, stem, participle in FAMILIES:
        if infinitive.endswith(ending):
            rest = infinitive.removesuffix(ending)
            return [rest + form for form in present.split(" ")], rest + stem, rest + participle
    raise ValueError(f"no conjugation for {infinitive!r}")


def _first_group(infinitive: str) -> tuple[list[str], str, str]:
    full = infinitive[:-2]
    silent = mute = full  # before a silent e; in the future
    if full.endswith(("oy", "uy")):
        silent = mute = full[:-1] + "i"
        if infinitive == "envoyer":
            mute = "env"
    elif infinitive in DOUBLING:
        silent = mute = full + full[-1]
    elif infinitive in GRAVE:
        silent = mute = full[:-2] + "è" + full[-1]
    elif full[-2] == "é" and full[-1] not in VOWELS:
        silent = full[:-2] + "è" + full[-1]
    ours = full + "e" if full[-1] == "g" else full[:-1] + "ç" if full[-1] == "c" else full
    present = [silent + "e", silent + "es", silent + "e", ours + "ons", full + "ez", silent + "ent"]
    return present, mute + ("err" if infinitive == "envoyer" else "er"), full + "é"
