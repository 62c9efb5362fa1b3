"""Whether a figure is what was published, or better than those of other runs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from vae_cli.errors import UsageError
from vae_cli.runs.summary import Figure
from vae_cli.settings.published import Claim


@final
@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One comparison.

    Attributes:
        figure: the name of the figure.
        measured: the figure, with its standard error.
        reference: the number that was published, with its tolerance if it is to be reached and
            not beaten, or the figure of another experiment, with its standard error.
        compared_with: the name of the other experiment; empty for a number that was published.
        by: the smallest difference that is expected of another experiment.
        holds: whether it is as expected.
    """

    figure: str
    measured: Figure
    reference: Figure
    compared_with: str = ""
    by: float = 0.0
    holds: bool

    @property
    def difference(self) -> float:
        """How much larger the figure is than what it is compared with."""
        return self.measured.value - self.reference.value


def pool_runs(runs: Sequence[Mapping[str, Figure]], name: str) -> Figure:
    """A figure of one run, or its mean over runs with different seeds.

    The standard error is that over the items of one run, or that over several runs.

    Raises:
        UsageError: a run does not have the figure.
    """
    found = [run[name] for run in runs if name in run]
    if not found or len(found) < len(runs):
        raise UsageError(f"there is no figure {name}: the model or its data cannot have it")
    if len(found) == 1:
        return found[0]
    values = [figure.value for figure in found]
    return Figure(statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5)


def judge(claim: Claim, figures: Mapping[str, Figure], name: str) -> list[Verdict]:
    """Compare a figure with a number that was published, or with those of other experiments.

    Args:
        claim: what is expected.
        figures: this figure of every experiment, by name.
        name: of the experiment.
    """
    measured = figures[name]
    if claim.expected is not None and claim.tolerance is not None:
        holds = abs(measured.value - claim.expected) <= claim.tolerance
        expected = Figure(claim.expected, claim.tolerance)
        return [Verdict(figure=claim.figure, measured=measured, reference=expected, holds=holds)]
    if claim.beats is not None:
        beaten = Figure(claim.beats, None)
        holds = measured.value > claim.beats
        return [Verdict(figure=claim.figure, measured=measured, reference=beaten, holds=holds)]
    verdicts = []
    for other in claim.above:
        reference = figures[other]
        verdicts.append(
            Verdict(
                figure=claim.figure,
                measured=measured,
                reference=reference,
                compared_with=other,
                by=claim.by,
                holds=measured.value - reference.value >= claim.by,
            )
        )
    return verdicts
