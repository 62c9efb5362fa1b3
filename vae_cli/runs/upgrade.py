"""Checkpoints of earlier versions, brought to the current form.

schema 2    the model standardizes the rows of a table, not its networks
schema 3    likelihood and prior are parts of the model, and totals have names
schema 4    the rules by which data are read and divided are a setting
schema 5    the best weights are alone; the model is one of several players in a training, whose
            progress is in facts of their own; an epoch visits the items in another order; the
            settings are those that have an effect, and the network and the likelihood are always
            named
schema 6    the columns of a table have kinds; all were numbers, each standardized
"""

import warnings
from typing import TYPE_CHECKING, Any

from vae_cli.settings import without_effect

if TYPE_CHECKING:
    from torch import Tensor

RENAMES = {  # by the schema since when it is so: a part of a name, and what it is called now
    3: {
        ".decoder.changes": ".likelihood.changes",
        ".decoder.log_variance": ".likelihood.log_variance",
    },
    5: {
        "state.model.columns.": "state.model.codec.",
        "state.optimizer.": "state.players.model.",
    },
    6: {
        ".codec.mean": ".codec.standard.mean",
        ".codec.std": ".codec.standard.std",
    },
}
PROGRESS = ("rows", "best_loss", "best_epoch")  # the other facts of the progress of a training
MODEL, TOTALS, KL = "state.model.", "state.totals.", "kl_by_dim"
TABLE_NETWORK = "encoder.mlp."  # before schema 2, networks for tables standardized their own input


def upgrade(tensors: dict[str, "Tensor"], facts: dict[str, Any]) -> dict[str, "Tensor"]:
    """The tensors of a checkpoint with the names and types of the current schema."""
    schema = facts["schema"]
    if schema < 2 and any(TABLE_NETWORK in name for name in tensors):  # noqa: PLR2004
        tensors = move_standardization(tensors)
    if schema < 3:  # noqa: PLR2004
        tensors = name_totals(tensors)
    if schema < 5 and KL in tensors:  # noqa: PLR2004  which only the best weights have
        tensors = {name: t for name, t in tensors.items() if name == KL or name.startswith(MODEL)}
    if schema < 5 and steps_of_epoch(facts):  # noqa: PLR2004
        tensors = forget_epoch(tensors)
    return {rename(name, schema): tensor for name, tensor in tensors.items()}


def rename(name: str, schema: int) -> str:
    """The name that a tensor of a schema has now."""
    for since, parts in RENAMES.items():
        for before, now in parts.items() if schema < since else ():
            name = name.replace(before, now)
    return name


def upgrade_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a checkpoint with the settings of the current schema, without its number."""
    config = facts.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    if facts["schema"] < 4 and isinstance(data, dict):  # noqa: PLR2004
        data.setdefault("rules", 1)
    if facts["schema"] < 5 and isinstance(config, dict):  # noqa: PLR2004
        name_choices(config, facts.get("data"))
        for entry in without_effect(config):
            if isinstance(table := config.get(entry.section), dict):
                table.pop(entry.name, None)
    if facts["schema"] < 5:  # noqa: PLR2004
        facts = gather_progress(facts)
    if facts.get("schema", 0) < 6:  # noqa: PLR2004
        name_kinds(facts)
    return {name: value for name, value in facts.items() if name != "schema"}


def name_kinds(facts: dict[str, Any]) -> None:
    """From schema 5 to 6: columns were names, all of them numbers, and none could be missing."""
    data, config = facts.get("data"), facts.get("config")
    rules = config.get("data") if isinstance(config, dict) else None
    for table in (rules, data.get("table") if isinstance(data, dict) else None):
        if isinstance(table, dict):
            table.setdefault("missing", "error")
    likelihood = config.get("likelihood") if isinstance(config, dict) else None
    if isinstance(likelihood, dict) and likelihood.get("name") == "columns":
        likelihood.setdefault("normalization", "standard")
    objective = config.get("objective") if isinstance(config, dict) else None
    if isinstance(objective, dict) and objective.get("name", "elbo") in {"elbo", "tc"}:
        objective.setdefault("beta", 1.0)
    columns = data.get("columns") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(columns, list):
        data["columns"] = [{"name": name, "normalization": "standard"} for name in columns]


def gather_progress(facts: dict[str, Any]) -> dict[str, Any]:
    """From schema 4 to 5: what a training goes on with was among all other facts.

    An epoch that was not complete starts again.
    """
    if not isinstance(position := facts.get("position"), dict):
        return facts
    progress = {name: value for name, value in position.items() if name != "epoch"}
    if done := steps_of_epoch(facts):
        progress |= {"step": progress["step"] - done, "done": 0, "count": 0}
    return facts | {"progress": progress | {key: facts[key] for key in PROGRESS if key in facts}}


def steps_of_epoch(facts: dict[str, Any]) -> int:
    """The number of steps that were done in an epoch which was not complete, before schema 5."""
    position = facts.get("position")
    if not isinstance(position, dict):
        return 0
    step, done = position.get("step"), position.get("done")
    return done if isinstance(step, int) and isinstance(done, int) else 0


def forget_epoch(tensors: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """From schema 4 to 5: the weights as they are, and no totals of an epoch that starts again.

    A warning says so.
    """
    warnings.warn(
        "an earlier version of vae stopped this run within an epoch: it starts that epoch again, "
        "because the items now come in another order",
        stacklevel=2,
    )
    return {
        name: tensor.new_zeros(tensor.shape) if name.startswith(TOTALS) else tensor
        for name, tensor in tensors.items()
    }


def name_choices(config: dict[str, Any], data: Any) -> None:
    """From schema 4 to 5: the network and the likelihood, where they were the only ones."""
    shape = data.get("shape") if isinstance(data, dict) else None
    is_row = isinstance(shape, list) and len(shape) == 1
    for section, key, name in (
        ("model", "network", "mlp"),
        ("likelihood", "name", "columns" if is_row else "mse"),
    ):
        table = config.setdefault(section, {})
        if isinstance(table, dict) and table.get(key, "auto") == "auto":
            table[key] = name


def move_standardization(tensors: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """From schema 1 to 2: the scaling of the columns is the model's."""
    upgraded = {}
    for name, tensor in tensors.items():
        if name == "state.model.decoder.columns.mean":
            upgraded["state.model.columns.mean"] = tensor.double()
        elif name == "state.model.decoder.columns.scale":
            upgraded["state.model.columns.std"] = tensor.double()
            upgraded["state.model.decoder.changes"] = tensor.new_ones(tensor.shape)
        elif "encoder.columns." not in name:
            upgraded[name.replace(TABLE_NETWORK, "encoder.")] = tensor
    return upgraded


def name_totals(tensors: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """From schema 2 to 3: each total is a tensor of its own, and the prior has a mean."""
    upgraded = dict(tensors)
    figure = "nll" if "state.model.columns.mean" in tensors else "mse"
    if (totals := upgraded.pop("state.totals", None)) is not None and totals.ndim == 1:
        sums = {"loss": totals[0], "kl": totals[2:].sum(), figure: totals[1]}
        upgraded |= {f"state.totals.{name}": total for name, total in sums.items()}
    projection = tensors.get("state.model.encoder.project.weight")
    if projection is not None:
        upgraded["state.model.prior.mean"] = projection.new_zeros(len(projection) // 2)
    return upgraded
