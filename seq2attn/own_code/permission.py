"""Permission for code that a setting names, and how its name becomes an object.

A run may come from a stranger, and its code can do whatever the user can. So nothing is imported unless the
user allows it.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from seq2attn.errors import UserError

_imported: set[str] = set()  # modules that were allowed to run
_permitted: ContextVar[bool] = ContextVar("permitted", default=False)


@contextmanager
def allow_code(allowed: bool = True) -> Iterator[None]:
    """Within this context, if `allowed`, code that a run names may be imported and called. It can do whatever
    the user can. If a context around this one allows it, it stays allowed.
    """
    token = _permitted.set(allowed or _permitted.get())
    try:
        yield
    finally:
        _permitted.reset(token)


def refuse_without_permission(setting: str, code: str) -> None:
    """Raise UserError, which names the setting, unless the code that it holds may run."""
    if not _permitted.get():
        package = code.partition(":")[0].partition(".")[0]
        raise UserError(
            f'{setting}="{code}" runs code of the package {package}: allow it with `allow_code`',
            setting=setting,
        )


def build(setting: str, code: str, kind: type, kind_name: str, **arguments: object) -> Any:
    """What the function or class `code`, "package.module:name", returns for the arguments, of type `kind`.

    `setting` is the name of the setting that holds `code`. The current folder is searched last. Raises
    UserError if the code may not run, if it cannot be imported or called, or if it returns another type,
    which should be `kind_name`.
    """
    refuse_without_permission(setting, code)
    package, _, name = code.partition(":")
    where = f'{setting}="{code}"'
    _imported.add(package)
    try:
        with _searching_here():
            result = getattr(importlib.import_module(package), name)(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit, too: it would end the command without a word
        way_out = _way_out(error, package, name, arguments)
        raise UserError(f"{where}: cannot be loaded: {one_line(error, package)}; {way_out}") from error
    if not isinstance(result, kind):
        raise UserError(
            f"{where}: {name}() returns {type(result).__name__}, not a {kind_name}; "
            "name a function or a class that gives one"
        )
    return result


def _way_out(error: BaseException, package: str, name: str, arguments: Mapping[str, object]) -> str:
    if package.endswith(".py"):
        return f'name the module without .py: "{package.removesuffix(".py")}:{name}"'
    if isinstance(error, ImportError | AttributeError):
        return "correct it, or add its folder to PYTHONPATH"
    if isinstance(error, TypeError) and arguments:
        return f"correct it; it is called with {', '.join(arguments)}, by name"
    return "correct it"


@contextmanager
def _searching_here() -> Iterator[None]:
    """Within this context imports find files of the current folder, which is searched last.

    `python -m` searches it first and an installed command does not search it at all. Last, no file in it
    replaces an installed package.
    """
    folder = os.getcwd()
    importlib.invalidate_caches()  # a file may be as new as this process
    sys.path.append(folder)
    try:
        yield
    finally:
        if folder in sys.path:  # the code may change the path
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(folder)]


def one_line(error: BaseException, package: str = "") -> str:
    """The type of an error, the first line of its message, and the last line of `package`'s code that led to
    it, if any.
    """
    try:
        message = (str(error).splitlines() or [""])[0]
    except Exception:  # noqa: BLE001 (its own message fails)
        message = ""
    text = f"{type(error).__name__}: {message}"
    return text + _place(error, package)


def raised_by_own_code(error: BaseException) -> str:
    """The error in one line, with its place, if code that a setting names led to it; or ""."""
    place = next(filter(None, (_place(error, package) for package in sorted(_imported))), "")
    return one_line(error) + place if place else ""


def _place(error: BaseException, package: str) -> str:
    """The last line of `package`'s code that led to an error, in brackets, or ""."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if package and frame.f_globals.get("__name__") == package:
            return f" ({os.path.basename(frame.f_code.co_filename)}, line {line})"
    return ""
