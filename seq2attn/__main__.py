"""`python -m seq2attn`: the command line, also where no script is on the path (under torchrun, for one)."""

from seq2attn.cli.app import main

if __name__ == "__main__":
    main()
