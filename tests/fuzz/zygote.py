"""A process that has loaded the whole program and does nothing with it: each command runs in a child that is
forked from it, at no cost of a start.

Read from standard input, a line of JSON each: {"arguments", "stdin" (a path), "folder", "limit_bytes",
"limit_seconds"}. Written to standard output, likewise:
{"code" (negative: killed by that signal), "bytes" (most memory that was resident), "over" ("", "memory" or
"time")}. Its output goes to FOLDER/stdout and FOLDER/stderr.
"""

import importlib
import json
import os
import pkgutil
import signal
import sys
import time


def main() -> None:
    import seq2attn

    for module in pkgutil.walk_packages(seq2attn.__path__, "seq2attn."):
        if module.name not in ("seq2attn.__main__", "seq2attn.export.ctranslate2"):
            importlib.import_module(module.name)
    import matplotlib.figure  # noqa: F401 - slow to load
    import torch

    torch.set_num_threads(1)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("{}", file=answer, flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(**json.loads(line))), file=answer, flush=True)


def _run(
    arguments: list[str], stdin: str, folder: str, limit_bytes: int, limit_seconds: float
) -> dict[str, object]:
    child = os.fork()
    if not child:
        _become(arguments, stdin, folder)
    over, latest = "", time.monotonic() + limit_seconds
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if _resident(child) > limit_bytes:
            over = "memory"
        elif time.monotonic() > latest:
            over = "time"
        if over:
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.01)
    return {"code": os.waitstatus_to_exitcode(status), "bytes": usage.ru_maxrss * 1024, "over": over}


def _become(arguments: list[str], stdin: str, folder: str) -> None:
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        for number, name, how in (
            (0, stdin, os.O_RDONLY),
            (1, "stdout", os.O_WRONLY | os.O_CREAT),
            (2, "stderr", os.O_WRONLY | os.O_CREAT),
        ):
            os.dup2(os.open(name, how), number)
        sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stdout, sys.stderr = (
            os.fdopen(1, "w", encoding="utf-8", closefd=False),
            os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False),
        )
        from seq2attn.cli import app

        code = app.run([os.fsdecode(os.fsencode(argument)) for argument in arguments])
        sys.stderr.flush()
    finally:
        os._exit(code)


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    main()
