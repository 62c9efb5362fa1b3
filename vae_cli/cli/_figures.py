"""The table of an evaluation, and what is said about published experiments and their verdicts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vae_cli.cli._console import Terminal
from vae_cli.runs.compare import Table
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.summary import read_state
from vae_cli.settings import Claim, Experiment

if TYPE_CHECKING:
    from vae_cli.evaluation.claims import Verdict
    from vae_cli.evaluation.figures import Absent, Figure
    from vae_cli.evaluation.report import Evaluation

LABELS = {
    "elbo": "ELBO (nats)",
    "distortion": "-log p(x|z) (nats)",
    "kl": "KL (nats)",
    "log_likelihood": "log-likelihood, K samples (nats)",
    "log_likelihood_rise": "its rise since K/10 (nats)",
    "effective_samples": "effective samples of K",
    "bits_per_dim": "bits per dimension",
    "uniform_code_length": "KL, all codes the same (nats)",
    "bits": "bits of an item's codes",
    "bits_fitted": "bits, fitted prior over codes",
    "active_units": "active units",
    "mutual_information": "I(x; z) (nats)",
    "aggregate_kl": "KL(q(z) || p(z)) (nats)",
    "codes_used": "codes in use (1 is all)",
    "perplexity": "perplexity of codes",
    "mse": "MSE, mean of values",
    "category_accuracy": "accuracy of categories",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "knn_accuracy": "accuracy of neighbours",
    "probe_accuracy": "accuracy of a linear probe",
    "classifier_accuracy": "accuracy of the classifier",
    "mig_chen": "MIG (Chen)",
    "mig_locatello": "MIG (Locatello)",
    "sap": "SAP",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "factor_vae_score": "FactorVAE score",
    "frechet_samples": "Frechet distance, samples",
    "frechet_gmm": "Frechet distance, --sampler gmm",
    "frechet_flow": "Frechet distance, --sampler flow",
    "frechet_codes": "Frechet distance, --sampler codes",
    "class_accuracy": "accuracy of samples of a class",
    "class_accuracy_real": "accuracy of test items",
    "frechet_classes": "Frechet distance, samples of a class",
    "fid_classes": "FID (Inception), samples of a class",
    "frechet_reconstructions": "Frechet distance, reconstructions",
    "frechet_train": "Frechet distance, training items",
    "fid_samples": "FID (Inception), samples",
    "fid_gmm": "FID (Inception), --sampler gmm",
    "fid_flow": "FID (Inception), --sampler flow",
    "fid_codes": "FID (Inception), --sampler codes",
    "fid_reconstructions": "FID (Inception), reconstructions",
    "fid_train": "FID (Inception), training items",
    "inception_precision": "precision of samples (Inception)",
    "inception_recall": "recall of samples (Inception)",
    "precision": "precision of samples",
    "recall": "recall of samples",
    "column_shapes": "column shapes",
    "column_shapes_real": "column shapes, real rows",
    "pair_trends": "pair trends",
    "pair_trends_real": "pair trends, real rows",
    "usefulness": "usefulness",
    "usefulness_real": "usefulness, real rows",
    "copies": "copies (0.5 is ideal)",
    "copies_real": "copies, real rows",
}
REMARKS = ("; not ", "; features of ", "; lowest is ")  # begin what is said about a figure too
MAX_DECIMALS = 5
MIN_ERROR = 1e-5  # a smaller one is not shown


def print_evaluations(terminal: Terminal, evaluations: "Mapping[str, Evaluation]") -> None:
    """Print the figures of runs side by side, and the reasons for those that are absent."""
    if terminal.wants_json:
        documents = {name: one.to_json() for name, one in evaluations.items()}
        terminal.json(documents if len(documents) > 1 else next(iter(documents.values())))
        return
    rows = [
        (label(name), *(cell(one.figures.get(name)) for one in evaluations.values()))
        for name in names_of(evaluations)
    ]
    first = next(iter(evaluations.values()))
    terminal.table((f"K = {first.samples:,}", *evaluations), rows)
    for name, evaluation in evaluations.items():
        print_classes(terminal, evaluation, name if len(evaluations) > 1 else "")
    for line in explanations(evaluations):
        terminal.note(line)


def print_classes(terminal: Terminal, evaluation: "Evaluation", name: str) -> None:
    """Print the figures of the samples of each class, if the model was asked for any."""
    if evaluation.classes:
        rows = [
            (shown, *(cell(figures[title]) for title in ("accuracy", "frechet")))
            for shown, figures in evaluation.classes.items()
        ]
        distances = "FID" if evaluation.features == "inception" else "Frechet distance"
        title = f"samples of a class, {name}" if name else "samples of a class"
        terminal.table((title, "accuracy", distances), rows)


def names_of(evaluations: "Mapping[str, Evaluation]") -> list[str]:
    """The names of the figures that at least one of the runs has, in their order."""
    from vae_cli.evaluation.figures import Figure

    names: dict[str, bool] = {}
    for evaluation in evaluations.values():
        for name, one in evaluation.figures.items():
            names[name] = names.get(name, False) or isinstance(one, Figure)
    return [name for name, is_there in names.items() if is_there]


def label(name: str) -> str:
    """The name of a figure in the table."""
    return LABELS.get(name, name.replace("_", " "))


def cell(figure: "Figure | Absent | None") -> str:
    """A value with its standard error, as many decimals of it as the error allows."""
    from vae_cli.evaluation.figures import Figure

    if not isinstance(figure, Figure):
        return "-"
    if figure.error is None or figure.error < MIN_ERROR:
        return f"{figure.value:.4g}"
    decimals = next((d for d in range(MAX_DECIMALS) if 10**-d <= figure.error), MAX_DECIMALS) + 1
    decimals = min(decimals, MAX_DECIMALS)
    return f"{figure.value:,.{decimals}f} ± {figure.error:.{decimals}f}"


def explanations(evaluations: "Mapping[str, Evaluation]") -> list[str]:
    """Why figures are absent, and what else has to be said: one line for each reason.

    A line begins with the names of the runs that it is about, unless it is about all of them.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for run, evaluation in evaluations.items():
        for reason, labels in reasons_of(evaluation).items():
            found.setdefault((", ".join(labels), reason), []).append(run)
    lines = []
    for (about, reason), runs in found.items():
        prefix = "" if len(runs) == len(evaluations) else f"{', '.join(runs)}: "
        lines.append(f"{prefix}{about}: {reason}")
    return lines


def reasons_of(evaluation: "Evaluation") -> dict[str, list[str]]:
    """The labels of the figures of one run that each reason is about."""
    from vae_cli.evaluation.figures import Absent

    reasons: dict[str, list[str]] = {}
    for name, one in evaluation.figures.items():
        if isinstance(one, Absent):
            reasons.setdefault(one.reason, []).append(label(name))
        elif any(start in one.definition for start in REMARKS):
            remark = one.definition.rpartition("; ")[2]
            reasons.setdefault(remark, []).append(label(name))
    return reasons


EXPERIMENT_COLUMNS = [
    "name",
    "status",
    "time",
    "here",
    "expected",
]  # the last is left out if it is too wide


def describe_verdict(name: str, verdict: "Verdict") -> str:
    """One line: whether a number holds, what was measured, and what was expected."""
    word = "holds" if verdict.holds else "does not hold"
    start = f"{name}: {word}: {verdict.figure} {_format_claimed(*verdict.measured)}"
    if not verdict.compared_with:
        wanted = ", a higher one expected" if verdict.reference.error is None else ""
        expected = _format_claimed(*verdict.reference)
        return f"{start} against {expected}, difference {verdict.difference:+.2f}{wanted}"
    reference = f"{_format_claimed(*verdict.reference)} of {verdict.compared_with}"
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


def tabulate_experiments(experiments: Sequence[Experiment]) -> Table:
    """What each experiment is expected to reach, how long it takes, and what is known of it."""
    rows = []
    for one in experiments:
        expected = "; ".join(map(describe_claim, one.published.claims))
        facts = [one.published.status, one.published.time, describe_runs(one)]
        rows.append([one.name, *facts, expected])
    return Table(EXPERIMENT_COLUMNS, len(EXPERIMENT_COLUMNS), rows)


def experiment_record(experiment: Experiment) -> dict[str, Any]:
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


def _format_claimed(value: float, error: float | None) -> str:
    """A figure with its error or tolerance, such as `-244.35 ± 0.98`; a count has no decimals."""
    text = str(value) if isinstance(value, int) else f"{value:.2f}"
    return text if error is None else f"{text} ± {error:.2f}"
