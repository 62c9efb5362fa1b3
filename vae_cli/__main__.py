"""`vae`, and `python -m vae_cli`."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C prints one line, even while the package is being imported."""
    try:
        from vae_cli.cli import app

        return app.main()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
