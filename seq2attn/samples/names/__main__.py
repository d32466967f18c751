"""`python -m seq2attn.samples.names OUT`: writes the corpus.

With the default seed and sizes it is the committed one, byte for byte.
"""

from seq2attn.samples import text_command
from seq2attn.samples.names.corpus import SIZES, splits, write


def main() -> None:
    text_command.run("python -m seq2attn.samples.names", SIZES, splits, write)


if __name__ == "__main__":
    main()
