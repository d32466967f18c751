"""Entry point of `seq2attn` and `python -m seq2attn`. Ctrl-C is handled from the first import on."""

import sys


def main() -> None:
    try:
        from seq2attn.cli import app

        app.main()
    except KeyboardInterrupt:
        print("seq2attn: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
