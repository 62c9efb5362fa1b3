"""The rules of the code base that no linter knows: small functions, and no circles of imports."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "vae_cli").rglob("*.py"))


def test_functions_are_small() -> None:
    """The signature of a command has its options, and is free."""
    functions = [
        (f"{path.relative_to(ROOT)}: {node.name}", node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > len(MODULES), "they are found"
    assert [name for name, node in functions if count_lines_of_body(node) > 40] == []


def count_lines_of_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the signature and the docstring."""
    documented = (ast.get_docstring(node, clean=False) or "").count("\n")
    assert node.end_lineno is not None
    return node.end_lineno - node.body[0].lineno - documented


def test_the_files_that_the_docstring_of_a_package_names_exist() -> None:
    for path in MODULES:
        if path.name == "__init__.py":
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            named = [path.parent / name for name in re.findall(r"[\w/]+\.(?:py|js|css)", text)]
            named = [
                one if one.suffix == ".py" else path.parent / "static" / one.name for one in named
            ]
            assert [one for one in named if not one.is_file()] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count: they hide a circle, and do not remove it."""
    names = {name_module(path): path for path in MODULES}
    imports = {name: imports_of(path) & names.keys() - {name} for name, path in names.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """What a module imports anywhere; a name may be a module or what is in one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found
