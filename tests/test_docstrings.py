"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import vae_cli

MODULES = [
    module.name
    for module in pkgutil.walk_packages(vae_cli.__path__, "vae_cli.")
    if not module.name.endswith("__main__")
]


def test_examples_run(here: Path) -> None:
    modules = [importlib.import_module(name) for name in ["vae_cli", *MODULES]]
    failed = [module.__name__ for module in modules if doctest.testmod(module).failed]
    assert failed == [], "what each printed is above"


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [importlib.import_module(name) for name in ["vae_cli", *MODULES]]
    examples = [test for module in modules for test in finder.find(module) if test.examples]
    names = {test.name for test in examples}
    assert {"vae_cli.load", "vae_cli.train", "vae_cli.api.model.TrainedModel"} <= names
