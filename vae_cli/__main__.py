"""`python -m vae_cli` is `vae`."""

import sys

from vae_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
