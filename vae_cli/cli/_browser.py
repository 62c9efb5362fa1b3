"""Opening a page in the browser without showing its address to other users."""

import html
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>vae explore</title>
<a href="{address}">Open the page</a>
"""


def has_browser() -> bool:
    """Whether there is a display; without one, a text browser would start in the terminal."""
    return sys.platform != "linux" or bool(os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"})


@contextmanager
def open_in_browser(address: str) -> Iterator[None]:
    """Open an address that contains a secret, within a context that ends when it is of no use.

    All users of a machine can read the command line of the browser. It therefore gets the path of a
    file that only this user can read, and the file leads to the address.
    """
    with tempfile.TemporaryDirectory(prefix="vae-") as folder:  # its permissions are 0700
        page = Path(folder, "explore.html")
        page.touch(0o600)
        page.write_text(REDIRECT.format(address=html.escape(address)), "utf-8")
        webbrowser.open(page.as_uri())
        yield
