"""COCO's own files (Lin et al. 2014; Chen et al. 2015), with "images" and "annotations".

These files, such as captions_train2017.json, are in a folder `annotations` beside the folders of images,
`train2017` and so on, or together with them. The name of the file gives the split. Each file is read as a
stream; names and captions stay in memory. It knows no image format.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from seq2attn.data.corpus import split_name
from seq2attn.data.formats.json_lists import lists_in, records
from seq2attn.data.formats.text import one_line
from seq2attn.data.images.captioned import language_of, no_columns, with_captions
from seq2attn.data.images.corpus import CaptionedImage, ImageCorpus
from seq2attn.data.images.lookup import Files
from seq2attn.errors import UsageError, UserError

NAME = re.compile(r"captions?_.*\.json(\.gz)?", re.IGNORECASE)
_BESIDE = "annotations"
_OTHERS = re.compile(
    r"(instances|person_keypoints|panoptic|stuff|image_info)_.*", re.IGNORECASE
)  # files without captions


def is_coco(path: Path) -> bool:
    """Whether a file has this format by its name, or by its first lists."""
    if (
        _OTHERS.fullmatch(path.name)
        or not path.name.lower().endswith((".json", ".json.gz"))
        or not path.is_file()
    ):
        return False
    lists = lists_in(path, "images", "annotations", "sentences")
    return "sentences" not in lists and bool(lists if NAME.fullmatch(path.name) else "images" in lists)


def files_of_captions(folder: Path) -> list[Path]:
    """The files of captions in a folder, or in its folder `annotations`."""
    inside = [path for path in folder.iterdir() if path.is_dir() and path.name.lower() == _BESIDE]
    for place in (folder, *inside):
        if files := sorted(
            path for path in place.iterdir() if not path.name.startswith(".") and is_coco(path)
        ):
            return files
    return []


def open_coco(path: Path, source: str | None, target: str | None, follow_links: bool = False) -> ImageCorpus:
    """`path` is a file, its folder, or that of `annotations`. Raises UsageError for two files of a split."""
    no_columns(str(path), source)
    caption_files = [path] if path.is_file() else files_of_captions(path)
    splits = [split_name(re.sub(r"(?i)^captions?_", "", file.name)) for file in caption_files]
    if len(set(splits)) < len(splits):
        names = ", ".join(file.name for file in caption_files)
        problem = f"several files of captions for one split: {names}"
        raise UsageError(f"{path}: {problem}: name one of them instead of its folder")
    if "train" not in splits:
        splits = [None] * len(splits)
    folder = path.parent if path.is_file() else path
    root = folder.absolute().parent if folder.absolute().name.lower() == _BESIDE else folder
    files, notes = Files(root, follow_links), list[str]()

    def images() -> Iterator[CaptionedImage]:
        for file, split in zip(caption_files, splits, strict=True):
            yield from _images(file, split, files)

    where = str(path)
    return ImageCorpus(
        where, language_of(target), lambda: with_captions(images(), where, notes), False, caption_files, notes
    )


def _images(file: Path, split: str | None, files: Files) -> Iterator[CaptionedImage]:
    images: dict[int | str, tuple[str, int]] = {}  # by id: the name and the line
    captions: dict[int | str, list[str]] = {}
    for name, line, record in records(file, "images", "annotations"):
        place = f"{file}:{line}"
        if name == "images":
            number = _id(record, "id", place)
            if number in images:
                problem = f"two images have the id {str(number)[:40]}"
                raise UserError(f"{place}: {problem}; the first is in line {images[number][1]}")
            images[number] = (files.checked(_text(record, "file_name", place), place), line)
        else:
            caption = one_line(_text(record, "caption", place).strip(), place)
            captions.setdefault(_id(record, "image_id", place), []).append(caption)
    below = re.sub(r"(?i)^captions?_|\.json.*$", "", file.name)
    for key, (name, line) in images.items():
        content = partial(
            files.content, name, f"{file.name}:{line}", (below, f"images/{below}", ""), anywhere=True
        )
        texts = tuple(filter(None, captions.pop(key, ())))
        yield CaptionedImage(name, content, texts, f"{file.name}:{line}", split)
    if captions:
        lost = str(next(iter(captions)))[:40]
        raise UserError(f'{file}: a caption is of the image {lost}, which is not in its list "images"')


def _id(record: Mapping[str, object], key: str, place: str) -> int | str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UserError(f'{place}: no number "{key}" but {type(value).__name__}')
    return value


def _text(record: Mapping[str, object], key: str, place: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UserError(f'{place}: no text "{key}"; it has: {", ".join(record)[:200] or "nothing"}')
    return value
