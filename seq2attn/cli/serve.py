"""`seq2attn serve`: a local server of runs, until it is asked to end.

The package `serving` does the work.
"""

import sys
from importlib.metadata import version
from importlib.util import find_spec

from seq2attn.cli import console, flags, mistaken, signals
from seq2attn.cli import serve_options as options
from seq2attn.errors import UserError

NEEDS = ("starlette", "uvicorn")
UVICORN = "0.54"  # `serving.connections` extends its class of connections, which differs between versions
INSTALL = "install with `pip install 'seq2attn[serve]'`"


def serve(
    runs: options.Runs,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    api_key: options.ApiKeys = None,
    allow_origin: options.AllowOrigins = None,
    max_characters: options.MaxCharacters = 20_000,
    max_upload: options.MaxUpload = 16,
    max_queue: options.MaxQueue = 1000,
    timeout: options.Timeout = 30.0,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Serve runs over HTTP: a page to explore them, and an API that clients of LibreTranslate speak.

    The address of the page is written to stdout once it answers, and a line of JSON to stderr for each
    request; with --quiet only for those that fail. Ctrl-C or SIGTERM ends it: what has begun is finished
    first. `pip install 'seq2attn[serve]'` installs what it needs.
    """
    keys, origins = options.keys(api_key), options.origins(allow_origin)
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UserError(f"serve needs {' and '.join(missing)}: {INSTALL}")
    if not (own := version("uvicorn")).startswith(f"{UVICORN}."):
        raise UserError(f"serve needs uvicorn {UVICORN}, and this is {own}: {INSTALL}")

    from seq2attn.devices import keep_freed_memory
    from seq2attn.serving import runs as served
    from seq2attn.serving.keys import Keys
    from seq2attn.serving.limits import Limits
    from seq2attn.serving.server import Server, bind, is_loopback, url
    from seq2attn.serving.service import Service

    names = served.names_of(runs)
    for path in names.values():
        mistaken.refuse_no_run(path)
    keep_freed_memory()
    with bind(host, port) as sock:  # before the models, which take longer
        loaded = served.ServedRuns.load(
            names, device=device, precision=precision, settings=set_ or [], allow_code=allow_code
        )
        limits = Limits(characters=max_characters, upload=max_upload << 20, queue=max_queue, seconds=timeout)

        def begin() -> None:
            if not keys and not is_loopback(sock):
                console.warn("everybody who reaches this machine can use it: --api-key asks for a key")
            for run in loaded:
                console.note(f"{run.name}: {run.summary}")
            console.result(url(sock))
            sys.stdout.flush()

        def log(line: str, failed: bool) -> None:
            if failed:
                console.log(line)
            else:
                console.note(line)

        server = Server(
            Service(loaded, limits, Keys(keys)),
            sock,
            log,
            host=host,
            origins=origins,
            debug=debug,
            begin=begin,
        )
        requests = signals.StopRequests()

        def stop(number: int) -> None:
            if requests.heard(number):
                if requests.count > 1:
                    raise KeyboardInterrupt
                server.stop()

        with signals.handled(stop, lambda handler: True):
            server.run()
