"""Lists of numbers as people write them: 1,4,7 and 2-5. Numbers count from 1."""

from seq2attn.errors import UsageError


def numbers(option: str, text: str, most: int, what: str) -> list[int]:
    """The numbers of a list, each once, in its order. `what` is the plural noun for errors, such as words.

    Raises UsageError for text that is no such list, and for more than `most` numbers.
    """
    result: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = (side.strip() for side in part.partition("-"))
        last = last if dash else first
        if not all(side.isascii() and side.isdecimal() and len(side) < 10 for side in (first, last)):
            raise UsageError(f"{option} {text}: write numbers of {what} and ranges, as 1,4,7 or 2-5")
        if not 1 <= int(first) <= int(last):
            raise UsageError(f"{option} {text}: {part.strip()}: {what} count from 1, and a range goes upward")
        result |= dict.fromkeys(range(int(first), min(int(last), int(first) + most) + 1))
        if len(result) > most:
            raise UsageError(f"{option} {text}: {most:,} {what} are the most")
    return list(result)
