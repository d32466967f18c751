"""The format of a file that is not read as an image, by its first bytes: a web page, a photograph in HEIC."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes there, name
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF-", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "PSD, of Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"icns", "ICNS"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"FUJIFILMCCD-RAW", "a RAW photograph of Fujifilm"),
    (0, b"IIRO", "a RAW photograph of Olympus"),
    (0, b"IIRS", "a RAW photograph of Olympus"),
    (0, b"IIU\0", "a RAW photograph of Panasonic"),
    (0, b"\0MRM", "a RAW photograph of Minolta"),
    (0, b"FOVb", "a RAW photograph of Sigma"),
    (6, b"HEAPCCDR", "a RAW photograph of Canon"),
    (8, b"CR\x02", "a RAW photograph of Canon"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"ARROW1", "an Arrow table"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x1a\x45\xdf\xa3", "a film"),
    (0, b"\0\0\1\xba", "a film"),
    (0, b"OggS", "an Ogg film or sound"),
    (0, b"ID3", "sound"),
    (0, b"\x7fELF", "a program"),
    (0, b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
)
_BRANDS = {  # of the box "ftyp"
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "a RAW photograph of Canon",
}
_RIFF = {b"AVI ": "a film", b"WAVE": "sound"}
_CONTROLS = frozenset("\t\n\r\f\x1b")  # control characters of texts
_TEXT_BYTES = 512  # bytes


def format_name(data: bytes) -> str | None:
    """The name of the format in a few words for people; None if it is not known."""
    for offset, signature, name in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a film")
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    return _text(data[:_TEXT_BYTES])


def _text(beginning: bytes) -> str | None:
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text of UTF-16"
    try:
        text = beginning.decode("utf-8-sig", "strict" if len(beginning) < _TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    if any(c < " " and c not in _CONTROLS for c in text) or not text.strip():
        return None
    lower = text.lstrip().lower()
    if "<svg" in lower:
        return "SVG, a drawing"
    if lower.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in lower:
        return "HTML, a page of the web"
    if lower.startswith("<"):
        return "XML"
    return "JSON" if lower.startswith(("{", "[")) else "text"
