"""Names and numbers without end: names of random syllables, and numbers in digits.

A name or number is kept for testing by a hash of its text, so that the test splits have none of training.
"""

import hashlib
import random
from dataclasses import dataclass

from seq2attn.samples.phrases.grammar import Derivation
from seq2attn.samples.phrases.lexicon import Name
from seq2attn.samples.phrases.tables import listed
from seq2attn.samples.portable_random import pick

# No name begins with a vowel, h or y: French elides before them (d'Anna), and the name is no whole word.
ONSETS = listed("b c d f g j k l m n p r s t v w z br cl dr fl gr kr pl pr st tr")
VOWELS = listed("a e i o u")
CODAS = ("", "", "", *listed("l m n r s"))
MASCULINE = listed("ck d l m n r rd rt s t x")  # a woman's name ends in a: English shows no gender
SHARE = 0.1  # of all names and numbers: those of testing


def unseen(text: str) -> bool:
    """Whether a name or number is kept for testing."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") < SHARE * 2**32


def name(rng: random.Random) -> Name:
    """A name of two or three syllables."""
    syllables = [
        pick(rng, ONSETS) + pick(rng, VOWELS) + pick(rng, CODAS) for _ in range(1 + int(rng.random() * 2))
    ]
    feminine = rng.random() < 0.5
    last = pick(rng, ONSETS) + ("a" if feminine else pick(rng, VOWELS) + pick(rng, MASCULINE))
    text = "".join([*syllables, last]).capitalize()
    return Name(text, text, feminine)


def number(rng: random.Random) -> str:
    """A number of two to four digits, each length as often."""
    digits = 2 + int(rng.random() * 3)
    return str(int(10 ** (digits - 1) + rng.random() * 9 * 10 ** (digits - 1)))


@dataclass
class Open(Derivation):
    """A derivation whose names and numbers are all those of testing, or none of them."""

    testing: bool = False

    def proper_name(self) -> Name:
        while unseen((one := name(self.rng)).english) != self.testing:
            pass
        return one

    def numeral(self, feminine: bool) -> tuple[str, str]:
        while unseen(digits := number(self.rng)) != self.testing:
            pass
        self.use("number", digits)
        return digits, digits
