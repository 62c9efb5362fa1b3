"""Settings by the words that people type: `latent-dim`, `latent_dim` or `model.latent_dim`."""

import difflib

from vae_cli.errors import UsageError
from vae_cli.settings.entries import Entry, entries


def short_name(entry: Entry) -> str:
    """The shortest word for a setting: its flag without dashes, or its key if it has no flag."""
    return entry.flag.removeprefix("--") if entry.flag else entry.key


def find_setting(word: str, source: str) -> Entry:
    """The setting that a word names: by its key, its flag, its alias, or its name alone.

    Args:
        word: upper and lower case are the same, and so are `-` and `_`.
        source: where it was typed, for the error message.

    Raises:
        UsageError: no setting has this name, and then the message names the nearest; or several do.
    """
    wanted, known = _spell(word.strip()), list(entries())
    for names in (_exact_names, _bare_names):
        found = [entry for entry in known if wanted in names(entry)]
        if len(found) == 1:
            return found[0]
        if found:
            keys = " or ".join(entry.key for entry in found)
            raise UsageError(f"{source}: which setting is {word}: {keys}?")
    words = {_spell(name): name for entry in known for name in (short_name(entry), entry.key)}
    near = difflib.get_close_matches(wanted, words, n=1, cutoff=0.0)[0]
    raise UsageError(f"{source}: {word} is not a setting; the nearest is {words[near]}")


def _exact_names(entry: Entry) -> set[str]:
    return {_spell(entry.key), _spell(short_name(entry)), _spell(f"{entry.section}.{entry.alias}")}


def _bare_names(entry: Entry) -> set[str]:
    return {_spell(entry.name), _spell(entry.alias)} - {""}


def _spell(word: str) -> str:
    return word.casefold().replace("-", "_")
