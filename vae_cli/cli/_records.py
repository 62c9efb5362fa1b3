"""What is known about runs and about groups of them, for JSON."""

from typing import Any

from vae_cli.runs.comparison import Group, figure_names
from vae_cli.runs.summary import RunSummary


def run_record(run: RunSummary) -> dict[str, Any]:
    """Everything that is known about a run, for JSON."""
    return {
        "name": run.run.name,
        "path": str(run.run.path),
        "state": run.state,
        "epochs": run.epochs,
        "settings": dict(run.settings),
        "metrics": dict(run.metrics),
        "evaluation": {name: figure._asdict() for name, figure in run.evaluation.items()},
    }


def group_record(group: Group) -> dict[str, Any]:
    """A group for JSON."""
    spreads = {name: group.spread(name) for name in figure_names(group.runs)}
    return {
        "settings": group.settings,
        "runs": [run.run.name for run in group.runs],
        "figures": {name: spread._asdict() for name, spread in spreads.items() if spread},
    }
