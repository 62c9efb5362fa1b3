"""The rules of the code base that no linter knows: small functions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "vae_cli").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_small(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            documented = (ast.get_docstring(node, clean=False) or "").count("\n")
            assert node.end_lineno is not None
            body = node.end_lineno - node.body[0].lineno - documented
            assert body <= 40, node.name  # the signature of a command has its options, and is free
