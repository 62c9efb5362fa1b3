"""The table of an evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vae_cli.cli.console import Terminal

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
    "frechet_reconstructions": "Frechet distance, reconstructions",
    "frechet_train": "Frechet distance, training items",
    "precision": "precision of samples",
    "recall": "recall of samples",
}
MAX_DECIMALS = 5


def print_evaluations(
    terminal: Terminal, evaluations: "Mapping[str, Evaluation]", *, json: bool
) -> None:
    """Print the figures of runs side by side, and the reasons for those that are absent."""
    if json:
        documents = {name: one.to_json() for name, one in evaluations.items()}
        terminal.json(documents if len(documents) > 1 else next(iter(documents.values())))
        return
    names = dict.fromkeys(name for one in evaluations.values() for name in one.figures)
    rows = [
        (label(name), *(cell(one.figures.get(name)) for one in evaluations.values()))
        for name in names
    ]
    first = next(iter(evaluations.values()))
    terminal.table((f"K = {first.samples:,}", *evaluations), rows)
    for line in explanations(evaluations):
        terminal.note(line)


def label(name: str) -> str:
    """The name of a figure in the table."""
    return LABELS.get(name, name.replace("_", " "))


def cell(figure: "Figure | Absent | None") -> str:
    """A value with its standard error, as many decimals of it as the error allows."""
    from vae_cli.evaluation.figures import Figure

    if not isinstance(figure, Figure):
        return "-"
    if figure.error is None or figure.error == 0:
        return f"{figure.value:.4g}"
    decimals = next((d for d in range(MAX_DECIMALS) if 10**-d <= figure.error), MAX_DECIMALS) + 1
    decimals = min(decimals, MAX_DECIMALS)
    return f"{figure.value:,.{decimals}f} ± {figure.error:.{decimals}f}"


def explanations(evaluations: "Mapping[str, Evaluation]") -> list[str]:
    """Why figures are absent, one line for each reason, and what else has to be said."""
    from vae_cli.evaluation.figures import Absent, Figure

    reasons: dict[str, list[str]] = {}
    for run, evaluation in evaluations.items():
        prefix = f"{run}: " if len(evaluations) > 1 else ""
        for name, one in evaluation.figures.items():
            if isinstance(one, Absent):
                reasons.setdefault(f"{prefix}%s: {one.reason}", []).append(label(name))
            elif isinstance(one, Figure) and "; not " in one.definition:
                remark = one.definition.partition("; ")[2]
                reasons.setdefault(f"{prefix}%s: {remark}", []).append(label(name))
    return [line.replace("%s", ", ".join(names), 1) for line, names in reasons.items()]
