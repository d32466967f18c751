"""Hostile versions of a file: of its bytes, of its text, of the JSON in it, of a table of tensors, of an
archive.

Everything is drawn from the generator that is handed in, so a number names an input for ever. It knows no
loader.
"""

import bz2
import gzip
import io
import json
import lzma
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

# What stands where a value of JSON stood, as it is written: not all of it is JSON.
VALUES = (
    *(
        "-1",
        "0",
        "0.5",
        "1e999",
        "-1e308",
        "NaN",
        "-Infinity",
        "1" + "0" * 30,
        "9" * 5000,
        "9223372036854775808",
    ),
    *(
        "true",
        "null",
        '""',
        "[]",
        "{}",
        "[[]]",
        '{"a": 1}',
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        '{"a":' * 3000,
    ),
    *(
        r'"\ud83d"',
        r'"\ud83dx\ude00"',
        r'"\u0000"',
        '"\u200b"',
        '"\u202e\x1b"',
        '"../../etc/passwd"',
        '"/etc/passwd"',
        '"a/b"',
        '"a\\\\..\\\\b"',
    ),
    *(
        '"' + "x" * 2_000_000 + '"',
        '"e\u0301"',
        '"\ud7ff\ue000"',
        "[null, null]",
        "[1, 2, 3]",
        "'a'",
        "",
        ",",
    ),
)
# What stands in a text.
TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\r",
        "\r\n",
        "\n\n\n",
        "\0",
        "\x1b[2J",
        "\x85",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\u202e",
        "\u00ad",
        "\U000e0001",
    ),
    *(
        "e\u0301" * 50,
        "\u1100\u1161",
        "한국어",
        "العربية",
        "😀" * 300,
        "\ufffd",
        "x" * 100_000,
        "x " * 20_000,
        "\u0300" * 3000,
        '"',
        '""',
        '"""',
        "'",
    ),
    *(
        ",",
        ";",
        "|",
        "\\",
        "=",
        "=cmd|' /C calc'!A0",
        "<script>alert(1)</script>",
        "&#39;",
        "{name}",
        "%s",
        "%n",
        "-",
        "--",
        "-1",
        "1-",
        "0-99999999999",
    ),
    *(
        "0-0 1-1",
        "999999999999999999999999999",
        "1e999",
        "nan",
        "-inf",
        "None",
        "null",
        "http://127.0.0.1:9/x",
        "../../x",
        "/dev/zero",
        "~",
        "$HOME",
        "`id`",
    ),
)
BYTES = (
    b"\xff",
    b"\xc3",
    b"\xed\xa0\xbd",
    b"\xf4\x90\x80\x80",
    b"\x00" * 1000,
    b"\xff\xfe",
    b"\xfe\xff",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x80\x02",
    b"\r",
)


def mutate(data: bytes, kind: str, chance: random.Random) -> bytes:
    """One hostile version of a file of that kind: text, json, lines (of JSON), toml, safetensors, zip or
    binary.
    """
    own: dict[str, tuple[Mutation, ...]] = {
        "text": (in_text, in_text, lines_moved, packed, of_another_encoding),
        "json": (in_json, in_json, in_json, in_text),
        "lines": (in_lines, in_lines, in_text, lines_moved, packed),
        "toml": (in_toml, in_toml, in_text),
        "safetensors": (in_header, in_header, in_header),
        "zip": (in_archive, in_archive, in_archive),
        "binary": (),
    }
    return chance.choice((*own[kind], in_bytes))(data, chance)


def in_bytes(data: bytes, chance: random.Random) -> bytes:
    """Cut off, doubled, with bytes changed, put in or taken out, or something else altogether."""
    place = chance.randrange(len(data) + 1)
    other = min(len(data), place + chance.choice((1, 4, 64, 4096)))
    return chance.choice(
        (
            lambda: data[:place],
            lambda: data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :],
            lambda: bytes(byte ^ (chance.random() < 0.002) << chance.randrange(8) for byte in data),
            lambda: data[:place] + chance.choice(BYTES) + data[place:],
            lambda: data[:place] + data[other:],
            lambda: data[:place] + data[place:other] * 100 + data[other:],
            lambda: data[:place] + chance.randbytes(other - place) + data[other:],
            lambda: data[:place] + b"\xff" * (other - place) + data[other:],
            lambda: b"",
            lambda: chance.randbytes(1000),
            lambda: packed(data, chance),
        )
    )()


def packed(data: bytes, chance: random.Random) -> bytes:
    """In an archive or a stream of some packer, whole or cut off, whatever its name says."""
    whole = chance.choice(
        (gzip.compress, bz2.compress, lzma.compress, _zipped, lambda data: b"\x28\xb5\x2f\xfd" + data)
    )(data)
    return whole if chance.random() < 0.7 else whole[: chance.randrange(len(whole))]


def _zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", data)
    return file.getvalue()


def of_another_encoding(data: bytes, chance: random.Random) -> bytes:
    encoding = chance.choice(
        ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7", "cp037")
    )
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def in_text(data: bytes, chance: random.Random) -> bytes:
    """With a hostile text in place of a line, of a word, or between two characters."""
    text, hostile = data.decode("utf-8", "replace"), chance.choice(TEXTS)
    parts = re.split(chance.choice((r"(\n)", r"(\s)", r"([\t,|])", r"(\b)")), text)
    parts[chance.randrange(len(parts))] = hostile
    return "".join(parts).encode("utf-8", "surrogatepass")


def lines_moved(data: bytes, chance: random.Random) -> bytes:
    """With a line taken out, said again and again, or with another end."""
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    chance.choice(
        (
            lambda: lines.pop(place),
            lambda: lines.insert(place, lines[place]),
            lambda: lines.__setitem__(place, lines[place] * 50),
            lambda: lines.__setitem__(place, lines[place].replace(b"\t", b"\t\t").replace(b",", b",,")),
            lambda: lines.__setitem__(slice(None), [b"\r".join(lines)]),
            lambda: lines.__setitem__(slice(None), [line + b"\r" for line in lines]),
        )
    )()
    return b"\n".join(lines)


def in_json(data: bytes, chance: random.Random) -> bytes:
    """With one value, or one key, of the tree replaced, taken away or said twice."""
    tree = json.loads(data)
    mark = "\ue123mark\ue123"
    holder, place = chance.choice([*_places(tree)] or [([tree], 0)])
    if isinstance(holder, dict) and chance.random() < 0.25:
        value = holder.pop(place)
        if chance.random() < 0.5:
            holder[mark] = value
    else:
        holder[place] = mark
    return json.dumps(tree).replace(json.dumps(mark), chance.choice(VALUES)).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for place, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            yield holder, place
            if isinstance(value, dict | list):
                waiting.append(value)


def in_lines(data: bytes, chance: random.Random) -> bytes:
    """With one line of JSON changed."""
    lines = data.split(b"\n")
    place = chance.randrange(max(1, len(lines) - 1))
    lines[place] = (
        in_json(lines[place], chance)
        if lines[place].startswith((b"{", b"["))
        else chance.choice(VALUES).encode("utf-8", "surrogatepass")
    )
    return b"\n".join(lines)


def in_toml(data: bytes, chance: random.Random) -> bytes:
    """With one value, or one key, replaced."""
    lines = data.split(b"\n")
    place = chance.choice([number for number, line in enumerate(lines) if b" = " in line])
    key, _, value = lines[place].partition(b" = ")
    hostile = chance.choice(VALUES).encode("utf-8", "surrogatepass")
    lines[place] = key + b" = " + hostile if chance.random() < 0.8 else hostile[:40] + b" = " + value
    return b"\n".join(lines)


def in_header(data: bytes, chance: random.Random) -> bytes:
    """A table of tensors whose header says something else: another length, shape, dtype, place or name."""
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], data[8 + size :]
    if chance.random() < 0.2:
        return (
            chance.choice((0, 1, size - 1, size + 1, 2**31, 2**40, 2**63, 2**64 - 1)).to_bytes(8, "little")
            + header
            + body
        )
    tree = json.loads(header)
    name = chance.choice([name for name in tree if name != "__metadata__"])
    entry = tree[name]
    begin, end = entry["data_offsets"]
    chance.choice(
        (
            lambda: entry.update(
                dtype=chance.choice(("F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "C64", "F8_E4M3", "X"))
            ),
            lambda: entry.update(
                shape=chance.choice(
                    ([], [0], [1], [-1], [2**40], [2**63], [1] * 70, [10**30], ["a"], None, [0.5])
                )
            ),
            lambda: entry.update(shape=[1, *entry["shape"]]),
            lambda: entry.update(shape=entry["shape"][::-1]),
            lambda: entry.update(
                data_offsets=chance.choice(
                    ([end, begin], [-4, end], [begin, end + 4], [0, 2**63], [begin], "a")
                )
            ),
            lambda: tree.pop(name),
            lambda: tree.update(
                {chance.choice(("", "x", "\0", "../x", name + "x", "x" * 100_000)): tree.pop(name)}
            ),
            lambda: tree.update({name: dict.fromkeys(("dtype", "shape", "data_offsets"))}),
            lambda: tree.update({f"{name}/{number}": entry for number in range(3)}),
        )
    )()
    text = in_json(json.dumps(tree).encode(), chance) if chance.random() < 0.2 else json.dumps(tree).encode()
    if chance.random() < 0.3:
        body = chance.choice(
            (b"", body[: len(body) // 2], b"\xff" * len(body), b"\x00" * len(body), body + b"x")
        )
    return len(text).to_bytes(8, "little") + text + body


def in_archive(data: bytes, chance: random.Random) -> bytes:
    """A zip that says something else of its entries, or whose arrays say something else of themselves."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    kind = chance.randrange(4)
    if kind == 0:  # method, flags and sizes, in the directory and before the entries
        whole = bytearray(data)
        starts = [match.start() for match in re.finditer(rb"PK\x01\x02", data)]
        start = chance.choice(starts)
        place = start + chance.choice((8, 10, 20, 24, 28, 42))
        whole[place : place + 2] = chance.choice((1, 8, 12, 14, 93, 99, 0xFFFF)).to_bytes(2, "little")
        return bytes(whole)
    name = chance.choice([*entries])
    if kind == 1:
        entries[name] = in_bytes(entries[name], chance)
    elif kind == 2 and b"'shape':" in entries[name][:200]:
        entries[name] = _another_shape(entries[name], chance)
    else:
        entries[
            chance.choice(
                ("../x.npy", "/x.npy", "a" * 60_000, "0/attention.npy", "99999999999999999999/attention.npy")
            )
        ] = entries.pop(name)
    file = io.BytesIO()
    with zipfile.ZipFile(
        file,
        "w",
        chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    ) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def _another_shape(array: bytes, chance: random.Random) -> bytes:
    shape = chance.choice(
        (
            "()",
            "(0,)",
            "(-1,)",
            "(1000000000, 1000000000)",
            "(300000000,)",
            "(2, 3, 4, 5)",
            "((1,),)",
            "(1e9,)",
            "(",
            "'a'",
        )
    )
    kind = chance.choice(("'<f4'", "'<f8'", "'|O'", "'<c16'", "'|b1'", "'<U99999999'", "'|V8'", "'<M8[s]'"))
    order = chance.choice(("False", "True", "1"))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return (
        array[:8]
        + len(header).to_bytes(2, "little")
        + header
        + array[10 + int.from_bytes(array[8:10], "little") :]
    )
