"""One HTML document that contains everything it needs, and loads nothing."""

import base64
import hashlib
import html
from importlib.resources import files
from typing import Any

from vae_cli.files import to_json, to_utf8

PAGE = ("markup.js", "numbers.js", "state.js", "map.js", "page.js")
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<script type="application/json" id="facts">{facts}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def read_static(*names: str) -> str:
    """The text of some files in `static/`, joined."""
    folder = files(__package__) / "static"
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


def make_document(title: str, facts: dict[str, Any], link: str) -> str:
    """The page.

    Args:
        title: of the window.
        facts: the JSON in the element `facts`, which the script reads.
        link: the script from which the page gets items.
    """
    style, script = read_static("page.css"), read_static(*PAGE, link)
    allowed = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return TEMPLATE.format(
        policy="; ".join(f"{what} {where}" for what, where in allowed.items()),
        title=html.escape(to_utf8(title)),
        style=style,
        facts=to_json(facts).replace("<", "\\u003c"),
        script=script,
    )


def _digest(text: str) -> str:
    """The name of an inline script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
