"""Code from outside: what it may be, what is shown of it, and when it is not imported."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Refused, Use, Vae

from vae_cli import load
from vae_cli.errors import OutsideCodeError
from vae_cli.runs.checkpoint import load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run

LOSS = '''
from pathlib import Path
from typing import Annotated, Literal
from annotated_types import Interval
from vae_cli.model import NegativeELBO, Objective
from vae_cli.settings.objectives import Objective as Settings
from vae_cli.settings.variant import Setting, variant

Path(__file__).resolve().parent.with_suffix(".imported").touch()


class Weighted(Objective):
    """Losses in another unit.

    Args:
        beta: weight of the KL,
            as in elbo.
        unit: in which losses are.
    """

    def __init__(
        self,
        beta: float = 2.0,
        unit: Annotated[float, Interval(gt=0, le=9), Setting("How many nats.")] = 1.0,
        kind: Literal["a", "b"] = "a",
        groups: tuple[int, ...] = (1, 2),
    ) -> None:
        super().__init__()
        self.inner, self.unit = NegativeELBO(beta), unit

    def forward(self, batch, inference, context):
        loss = self.inner(batch, inference, context)
        loss.losses["model"] = loss.losses["model"] / self.unit
        return loss


@variant("ignored")
class Chosen(Settings):
    """Settings of their own."""

    beta: Annotated[float, Interval(ge=0, le=4), Setting("Weight.")] = 3.0

    def build(self, model):
        return NegativeELBO(self.beta)


class Broken(Objective):
    def forward(self, batch, inference, context):
        return inference.nothing


class Bare(Objective):
    def __init__(self, weight):
        pass


class Odd(Objective):
    def __init__(self, weights: dict = {}):
        pass


class NoLoss:
    pass
'''
WORDS = ("train", "--limit", 128, "--epochs", 1, "-q", "--device", "cpu")
WEIGHTED = ("--objective", "a_loss:Weighted")


@pytest.fixture
def module(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module in the current folder; a file beside this folder tells of its import."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = here / "a_loss.py"
    path.write_text(LOSS)
    sys.modules.pop("a_loss", None)
    yield path
    sys.modules.pop("a_loss", None)


@pytest.fixture
def was_imported(module: Path) -> Callable[[], bool]:
    """Whether the module was imported since the last question; it is forgotten."""

    def ask() -> bool:
        sys.modules.pop("a_loss", None)
        trace = module.resolve().parent.with_suffix(".imported")
        found = trace.exists()
        trace.unlink(missing_ok=True)
        return found

    return ask


def test_its_settings_are_checked_kept_and_shown(module: Path, use: Use, refused: Refused) -> None:
    typed = ("--set", "objective.unit=2", "--set", "objective.groups=[5]")
    use(*WORDS, *WEIGHTED, *typed, "--name", "one")
    shown = json.loads(use("config", "show", "one", "--json").out)["objective"]
    assert shown == {
        "name": "a_loss:Weighted",
        "warmup_epochs": 0,
        "warmup_cycles": 1,
        "beta": 2.0,
        "unit": 2.0,
        "kind": "a",
        "groups": [5],
    }
    for words, message in (
        (("--set", "objective.unit=0"), "objective.unit = 0: must be greater than 0"),
        (("--set", "objective.kind=c"), "objective.kind = \"c\": must be 'a' or 'b'"),
        (("--set", "objective.unit=x"), "objective.unit"),
        (("--set", "objective.units=1"), "the nearest is objective.unit"),
        (("--set", "objective.beta=auto"), 'objective.beta = "auto": must be a valid number'),
        (("--set", "objective.capacity=3"), "is for --objective capacity, not a_loss:Weighted"),
    ):
        assert message in refused(*WORDS, *WEIGHTED, *words)


def test_the_help_has_the_settings_of_what_is_typed(module: Path, use: Use) -> None:
    said = " ".join(use("train", *WEIGHTED, "--help").out.split())
    assert "objective a_loss:Weighted: Losses in another unit." in said
    assert "--set objective.beta=X Weight of the KL, as in elbo. [default: 2.0]" in said
    assert "--set objective.unit=X How many nats. [0 < x ≤ 9; default: 1.0]" in said
    assert "a_loss" not in use("train", "--help").out


def test_a_class_of_settings_is_taken_as_it_is(module: Path, use: Use, refused: Refused) -> None:
    chosen = ("--set", "objective=a_loss:Chosen")
    use(*WORDS, *chosen, "--beta", 2, "--name", "one")
    assert load("one", allow_code=True).settings.objective.build(None).beta == 2
    assert "objective.beta = 5" in refused(*WORDS, *chosen, "--set", "objective.beta=5")


def test_what_is_no_component_is_one_line(module: Path, refused: Refused) -> None:
    for name, message in (
        ("a_loss:Wrong", "a_loss:Wrong cannot be imported: AttributeError: module 'a_loss' has no"),
        ("no_loss:Wrong", "no_loss:Wrong cannot be imported: ModuleNotFoundError: No module named"),
        ("a_loss:NoLoss", "a_loss:NoLoss is no vae_cli.model.Objective, which --objective takes"),
        ("a_loss:Bare", "a_loss:Bare: its parameter weight needs a default to be a setting"),
        ("a_loss:Odd", "a_loss:Odd: its parameter weights = {} is no setting: annotate it as int"),
        (
            "a_loss:Broken",
            "a step with a_loss:Broken fails for 2 items: AttributeError: 'Inference'",
        ),
        ("a loss:Broken", "objective a loss:Broken was given in Python"),
    ):
        assert message in refused(*WORDS, "--objective", name)
    assert "'elbow' is not one of 'elbo'" in refused(*WORDS, "--objective", "elbow")


@pytest.mark.slow
def test_a_run_imports_its_code_with_consent_alone(
    module: Path, was_imported: Callable[[], bool], use: Use, vae: Vae
) -> None:
    """Each command is a process of its own, because one that has imported code has it."""
    done = vae(*WORDS, *WEIGHTED, "--name", "one")
    assert done.returncode == 0, done.stderr
    assert was_imported()
    config = module.with_name("runs") / "one/config.toml"
    again = ("train", "--resume", "one", "--epochs", 2, "-q")
    for words, code, imports in (
        (("sample", "--run", "one"), 0, False),
        (("runs",), 0, False),
        (("config", "show", "one"), 2, False),
        (again, 2, False),
        ((*WORDS, "--config", config), 2, False),
        (("--help",), 0, False),
        (("sample", "--run", "one", "--allow-code"), 0, True),
        ((*WORDS, "--config", config, "--allow-code", "--name", "two"), 0, True),
        ((*again, "--objective", "another:Class"), 2, False),
        ((*again, *WEIGHTED), 0, True),
    ):
        done = vae(*words)
        assert done.returncode == code, (words, done.stderr)
        assert was_imported() == imports, words
        if code:
            assert done.stderr.count("\n") == 1
            assert "imports it, if you trust it" in done.stderr or "another" in words[-1]


@pytest.mark.parametrize("part", ["model", "likelihood", "prior"])
def test_a_run_of_somebody_else_cannot_import_what_its_checkpoint_names(
    part: str, module: Path, was_imported: Callable[[], bool], home: Path, refused: Refused
) -> None:
    """The checkpoint is valid, and only its component is another."""
    shutil.copytree(home / "runs/small", "runs/theirs")
    for path in (Run(Path("runs/theirs")).best, Run(Path("runs/theirs")).last):
        checkpoint = load_checkpoint(path)
        checkpoint.facts["config"][part]["network" if part == "model" else "name"] = "a_loss:Any"
        save_checkpoint(path, checkpoint)
    for words in (("sample",), ("evaluate",), ("reconstruct",)):
        said = refused(*words, "--run", "theirs")
        assert said == (
            f"{part} a_loss:Any is code from outside: --allow-code imports it, if you trust it"
        )
    with pytest.raises(OutsideCodeError, match="allow_code imports it, if you trust it"):
        load("theirs")
    assert not was_imported()
    assert "cannot be imported" in refused("sample", "--run", "theirs", "--allow-code")
    assert was_imported(), "the module was, which has no such class"


def test_a_run_of_a_package_that_is_not_installed_is_not_called_damaged(
    here: Path, use: Use, refused: Refused
) -> None:
    use(*WORDS, "--name", "theirs")
    path = here / "runs/theirs/best.safetensors"
    checkpoint = load_checkpoint(path)
    for part, needs in {"objective": (), "likelihood": ("sample", "reconstruct")}.items():
        checkpoint.facts["config"][part]["name"] = "gone"
        save_checkpoint(path, checkpoint)
        use("runs")
        for command in needs:
            said = refused(command, "--run", "theirs")
            assert (
                said == f"{part} gone is of no package that is installed: install the one it is of"
            )
        if not needs:
            use("sample", "--run", "theirs", "-n", 2, "-q")


def test_an_installed_package_gives_names_to_its_classes(
    module: Path, use: Use, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """They need no consent: it was given when the package was installed."""
    facts = module.with_name("theirs-1.0.dist-info")
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[vae_cli.objectives]\nweighted = a_loss:Weighted\nlost = a_loss:Lost\n"
    )
    assert "'weighted' is not one of" in refused(*WORDS, "--objective", "weighted")
    monkeypatch.syspath_prepend(str(module.parent))
    use(*WORDS, "--objective", "weighted", "--set", "objective.unit=2", "--name", "one")
    use("train", "--resume", "one", "--epochs", 2, "-q")
    assert load("one").settings.objective.name == "weighted"
    assert "lost cannot be imported: AttributeError" in refused(*WORDS, "--objective", "lost")


def test_the_help_of_vae_looks_for_no_plugins() -> None:
    program = (
        "import sys; from vae_cli.cli._app import main; main(['--help']); "
        "print(sorted({'importlib.metadata', 'torch', 'pydantic'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.slow
def test_sweeps_take_it_and_its_settings(module: Path, use: Use) -> None:
    words = ("--limit", 64, "--epochs", 1, "-q")
    use("sweep", "objective=elbo,a_loss:Weighted", *words)
    use("sweep", "objective.unit=1,2", *WEIGHTED, *words, "--name", "units")
    names = {path.name for path in Path("runs").iterdir()}
    assert "sweep-objective-a_loss-Weighted" in names
    assert {"units-objective.unit-1", "units-objective.unit-2"} <= names
