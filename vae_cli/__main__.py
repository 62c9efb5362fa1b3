"""`vae`, and `python -m vae_cli`."""

import gc
import os
import sys

# Python searches for garbage after every 700 new objects and at the exit, and a command has hardly
# any. Median processor time of ten turns: `vae sample` 1.58 s; without the threshold 1.73, without
# the freeze 2.11, without both 2.20. `vae --help`: 0.22, 0.24, 0.26 and 0.28.
COLLECTION_THRESHOLD = 200_000  # objects; the imports create about as many


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
        gc.freeze()  # what is left is freed without a last search


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
