"""`vae`, and `python -m vae_cli`."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C is one line even while it is being imported."""
    try:
        from vae_cli import cli

        return cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
