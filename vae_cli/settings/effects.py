"""Settings that have an effect only together with another one."""

from vae_cli.errors import UsageError
from vae_cli.settings.entries import Entry, entries
from vae_cli.settings.layers import to_dict
from vae_cli.settings.schema import Config


def require_effects(config: Config) -> None:
    """Check that no setting was changed that has no effect; in `config`, no choice is `auto`.

    Raises:
        UsageError: one was; the message says with which choices it has an effect.
    """
    known, tables = {entry.key: entry for entry in entries()}, to_dict(config)
    for entry in known.values():
        if entry.only is None or tables[entry.section][entry.name] == _default(entry):
            continue
        key, allowed = entry.only
        choice = known[key]
        chosen = tables[choice.section][choice.name]
        if chosen not in allowed:
            raise UsageError(
                f"{entry.flag or entry.key} is for {choice.flag or key} "
                f"{' or '.join(allowed)}, not {chosen}: leave it out"
            )


def _default(entry: Entry) -> object:
    """The default with the types of JSON."""
    return list(entry.default) if isinstance(entry.default, tuple) else entry.default
