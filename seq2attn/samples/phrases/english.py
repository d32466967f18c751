"""English word forms by rule and by table: plurals, verbs, numerals, a or an.

This module knows spelling, and neither meaning nor French nor sentences.
"""

from seq2attn.samples.phrases.tables import listed

VOWELS = frozenset("aeiou")
AN_DESPITE_SPELLING = ("hour", "honest")
A_DESPITE_SPELLING = ("uni", "use", "useful", "euro")

PAST = {
    "be": "was",
    "bite": "bit",
    "break": "broke",
    "bring": "brought",
    "build": "built",
    "buy": "bought",
    "catch": "caught",
    "choose": "chose",
    "come": "came",
    "cut": "cut",
    "draw": "drew",
    "drink": "drank",
    "drive": "drove",
    "eat": "ate",
    "fall": "fell",
    "feed": "fed",
    "find": "found",
    "forget": "forgot",
    "get": "got",
    "give": "gave",
    "go": "went",
    "have": "had",
    "hear": "heard",
    "hide": "hid",
    "keep": "kept",
    "know": "knew",
    "leave": "left",
    "lend": "lent",
    "lose": "lost",
    "meet": "met",
    "prefer": "preferred",
    "put": "put",
    "read": "read",
    "run": "ran",
    "see": "saw",
    "sell": "sold",
    "send": "sent",
    "show": "showed",
    "sing": "sang",
    "sleep": "slept",
    "steal": "stole",
    "stop": "stopped",
    "swim": "swam",
    "take": "took",
    "tell": "told",
    "throw": "threw",
    "travel": "travelled",
    "understand": "understood",
    "wake": "woke",
    "wear": "wore",
    "write": "wrote",
}


def plural(noun: str) -> str:
    """The regular plural of a noun."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun[-1] == "y" and noun[-2] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"


def present(verb: str, third_singular: bool) -> str:
    """The present of any verb but `be`."""
    if not third_singular:
        return verb
    if verb == "have":
        return "has"
    return plural(verb) if verb[-1] != "o" else verb + "es"


def past(verb: str) -> str:
    """The simple past of any verb but `be`."""
    if verb in PAST:
        return PAST[verb]
    if verb[-1] == "e":
        return verb + "d"
    if verb[-1] == "y" and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + "ed"


def be(person: int, is_plural: bool) -> str:
    """The present of `be`."""
    if is_plural or person == 2:
        return "are"
    return "am" if person == 1 else "is"


def article(following: str) -> str:
    """The indefinite article before a word."""
    word = following.lower()
    if word.startswith(AN_DESPITE_SPELLING):
        return "an"
    return "an" if word[0] in VOWELS and not word.startswith(A_DESPITE_SPELLING) else "a"


UNITS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = listed("zero ten twenty thirty forty fifty sixty seventy eighty ninety")


def number(value: int) -> str:
    """1 to 99 in words, one word each; 100 is two words."""
    if value == 100:
        return "one hundred"
    if value < 20:
        return UNITS[value]
    tens, unit = divmod(value, 10)
    return TENS[tens] + (f"-{UNITS[unit]}" if unit else "")
