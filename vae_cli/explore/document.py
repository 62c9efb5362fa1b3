"""One HTML document with all it needs inside; nothing is loaded from anywhere."""

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

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


def source(name: str) -> str:
    """The text of a file that lies beside this one."""
    return files(__package__).joinpath(name).read_text("utf-8")


def document(title: str, facts: dict[str, Any], scripts: list[str]) -> str:
    """The page.

    Args:
        title: of the window.
        facts: what the script finds in the element `facts`.
        scripts: names of files, put together in this order.
    """
    style, script = source("page.css"), "\n".join(map(source, scripts))
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
        title=html.escape(title),
        style=style,
        facts=json.dumps(facts, allow_nan=False).replace("<", "\\u003c"),
        script=script,
    )


def _digest(text: str) -> str:
    """What names an inline script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
