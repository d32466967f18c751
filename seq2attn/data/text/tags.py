"""Tags: words at the beginning of a source that say what kind of pair it is, each one token.

`<BT>` says that the source is a back-translation (Caswell 2019, https://arxiv.org/abs/1906.06442), and
`<2fr>` into which language to translate (Johnson 2017, https://arxiv.org/abs/1611.04558). `prepare` gives a
token to each tag with which a training source begins. Elsewhere such a word is text.
"""

import re
from collections.abc import Iterable

from seq2attn.data.formats.sentencepiece_model import Subword
from seq2attn.data.tokenizer import SPACE, Tokenizer

TAG = re.compile(r"<(?:[A-Z]{2,8}|2[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?)>")
MOST = 100  # tags of a corpus


def tag_of(text: str) -> str | None:
    """The tag with which a text begins; None without one."""
    match = TAG.match(text)
    return match[0] if match and text[match.end() : match.end() + 1] == " " else None


def without_tag(text: str) -> str:
    """The text after its tag."""
    tag = tag_of(text)
    return text if tag is None else text[len(tag) + 1 :]


def tags_of(texts: Iterable[str]) -> list[str]:
    """The tags of texts, in alphabetical order, at most MOST."""
    return sorted({tag for text in texts if text[:1] == "<" and (tag := tag_of(text)) is not None})[:MOST]


def missing_tags(tokenizer: Tokenizer, tags: Iterable[str]) -> list[str]:
    """Those of the tags for which a tokenizer has no token."""
    known = set(tokenizer.vocabulary)
    return [tag for tag in tags if _subword(tag, tokenizer) not in known]


def with_tags(tokenizer: Tokenizer, tags: Iterable[str]) -> Tokenizer:
    """The tokenizer with a token for each tag; those that it has already stay."""
    new = [Subword(_subword(tag, tokenizer), 0.0, is_symbol=True) for tag in missing_tags(tokenizer, tags)]
    return tokenizer.with_subwords(new) if new else tokenizer


def _subword(tag: str, tokenizer: Tokenizer) -> str:
    return SPACE + (tag.lower() if tokenizer.lowercase else tag)
