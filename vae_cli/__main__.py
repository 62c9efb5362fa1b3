"""`vae`, and `python -m vae_cli`."""

import gc
import os
import sys

# The imports create some 200,000 objects and no garbage, but Python's default is to search for
# garbage after every 700. These searches take a tenth of the time of `vae sample`.
COLLECTION_THRESHOLD = 200_000  # objects


def main() -> int:
    """Run the command line; Ctrl-C prints one line, even while the package is being imported."""
    gc.set_threshold(COLLECTION_THRESHOLD)
    try:
        from vae_cli.cli._app import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    finally:
        gc.freeze()  # at the exit, everything is freed without a last search


def forget_current_folder() -> None:
    """Import nothing more from the current folder, which `python -m` searches first.

    It stays if it holds this package: then it is the source code, which is not installed.
    """
    own = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120  pathlib is not imported yet
    if not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]


if __name__ == "__main__":
    forget_current_folder()
    sys.exit(main())
