"""The table of an evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vae_cli.cli._console import Terminal

if TYPE_CHECKING:
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
    "active_units": "active units",
    "mutual_information": "I(x; z) (nats)",
    "aggregate_kl": "KL(q(z) || p(z)) (nats)",
    "mse": "MSE, mean of values",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "knn_accuracy": "accuracy of neighbours",
    "probe_accuracy": "accuracy of a linear probe",
    "mig_chen": "MIG (Chen)",
    "mig_locatello": "MIG (Locatello)",
    "sap": "SAP",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "frechet_samples": "Frechet distance, samples",
    "frechet_gmm": "Frechet distance, --sampler gmm",
    "frechet_flow": "Frechet distance, --sampler flow",
    "frechet_reconstructions": "Frechet distance, reconstructions",
    "frechet_train": "Frechet distance, training items",
    "fid_samples": "FID (Inception), samples",
    "fid_gmm": "FID (Inception), --sampler gmm",
    "fid_flow": "FID (Inception), --sampler flow",
    "fid_reconstructions": "FID (Inception), reconstructions",
    "fid_train": "FID (Inception), training items",
    "inception_precision": "precision of samples (Inception)",
    "inception_recall": "recall of samples (Inception)",
    "precision": "precision of samples",
    "recall": "recall of samples",
}
REMARKS = ("; not ", "; features of ")  # begin what the table has to say about a figure too
MAX_DECIMALS = 5
MIN_ERROR = 1e-5  # a smaller one is not shown


def print_evaluations(
    terminal: Terminal, evaluations: "Mapping[str, Evaluation]", *, json: bool
) -> None:
    """Print the figures of runs side by side, and the reasons for those that are absent."""
    if json:
        documents = {name: one.to_json() for name, one in evaluations.items()}
        terminal.json(documents if len(documents) > 1 else next(iter(documents.values())))
        return
    rows = [
        (label(name), *(cell(one.figures.get(name)) for one in evaluations.values()))
        for name in names_of(evaluations)
    ]
    first = next(iter(evaluations.values()))
    terminal.table((f"K = {first.samples:,}", *evaluations), rows)
    for line in explanations(evaluations):
        terminal.note(line)


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
