"""How experiments and the verdicts about them are shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vae_cli.runs.comparison import Table
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.summary import Figure, read_state
from vae_cli.settings import Claim, Experiment

if TYPE_CHECKING:
    from vae_cli.evaluation.verdict import Verdict

COLUMNS = ["name", "status", "time", "here", "expected"]  # the last is left out if it is too wide


def describe_verdict(name: str, verdict: "Verdict") -> str:
    """One line: whether a number holds, what was measured, and what was expected."""
    word = "holds" if verdict.holds else "does not hold"
    start = f"{name}: {word}: {verdict.figure} {_format(verdict.measured)}"
    if not verdict.compared_with:
        wanted = ", a higher one expected" if verdict.reference.error is None else ""
        expected = _format(verdict.reference)
        return f"{start} against {expected}, difference {verdict.difference:+.2f}{wanted}"
    reference = f"{_format(verdict.reference)} of {verdict.compared_with}"
    wanted = f"at least {verdict.by:+g} expected" if verdict.by else "a higher one expected"
    return f"{start} against {reference}, difference {verdict.difference:+.2f}, {wanted}"


def verdict_record(verdict: "Verdict") -> dict[str, Any]:
    """A verdict as JSON."""
    value, error = verdict.measured
    record = {"figure": verdict.figure, "value": value, "error": error}
    if verdict.compared_with:
        other, other_error = verdict.reference
        record |= {"above": verdict.compared_with, "other": other, "other_error": other_error}
        record["by"] = verdict.by
    elif verdict.reference.error is None:
        record["beats"] = verdict.reference.value
    else:
        record |= {"expected": verdict.reference.value, "tolerance": verdict.reference.error}
    return record | {"difference": verdict.difference, "holds": verdict.holds}


def list_table(experiments: Sequence[Experiment]) -> Table:
    """What each experiment is expected to reach, how long it takes, and what is known of it."""
    rows = []
    for one in experiments:
        expected = "; ".join(map(describe_claim, one.published.claims))
        facts = [one.published.status, one.published.time, describe_runs(one)]
        rows.append([one.name, *facts, expected])
    return Table(COLUMNS, len(COLUMNS), rows)


def list_record(experiment: Experiment) -> dict[str, Any]:
    """An experiment as JSON."""
    import dataclasses

    published = dataclasses.asdict(experiment.published)
    return {"name": experiment.name, **published, "here": describe_runs(experiment)}


def describe_claim(claim: Claim) -> str:
    """What is expected of a figure, such as `elbo -244.4 ± 0.98`."""
    if claim.expected is not None:
        return f"{claim.figure} {claim.expected:g} ± {claim.tolerance:g}"
    if claim.beats is not None:
        return f"{claim.figure} above {claim.beats:g}"
    by = f" by {claim.by:g}" if claim.by else ""
    return f"{claim.figure} above {', '.join(claim.above)}{by}"


def describe_runs(experiment: Experiment) -> str:
    """What this folder has of an experiment, such as `stopped` or `2 of 5 finished`."""
    runs = [run for one in experiment.variants if (run := Run(ROOT / one.name)).exists]
    states = list(map(read_state, runs))
    if len(experiment.variants) == 1 or not states:
        return states[0] if states else ""
    return f"{states.count('finished')} of {len(experiment.variants)} finished"


def _format(figure: Figure) -> str:
    """A figure with its error or tolerance, such as `-244.35 ± 0.98`; a count has no decimals."""
    value, error = figure
    text = str(value) if isinstance(value, int) else f"{value:.2f}"
    return text if error is None else f"{text} ± {error:.2f}"
