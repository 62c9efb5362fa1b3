"""An option that is not a list may be typed once; Typer itself would take the last value."""

from typing import Any, final

from typer.core import TyperCommand, TyperOption

from vae_cli.errors import UsageError


@final
class Command(TyperCommand):
    """A Typer command that refuses a repeated option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name, in a context of a class that Typer keeps.

        Raises:
            UsageError: an option that is not a list is given more than once.
        """
        words = list(args)  # the parser empties the list that it is given
        rest = super().parse_args(ctx, args)  # prints the help, if that is what is asked for
        if not ctx.resilient_parsing:  # completion must not fail
            self._refuse_repeats(ctx, words)
        return rest

    def _refuse_repeats(self, ctx: Any, words: list[str]) -> None:
        options = [one for one in self.params if isinstance(one, TyperOption) and not one.multiple]
        try:
            for option in options:
                option.multiple = True  # so that Typer's own parser collects every value
            values, _, _ = self.make_parser(ctx).parse_args(words)
        finally:
            for option in options:
                option.multiple = False
        for option in options:
            typed = [_spell(option, value) for value in values.get(option.name, ())]
            if len(typed) > 1:
                raise UsageError(f"{' and '.join(typed)}: give only one of them")


def _spell(option: TyperOption, value: object) -> str:
    """An option as it is typed, under its longest name."""
    if not option.is_flag:
        return f"{max(option.opts, key=len)} {value}"
    return max(option.opts if value else option.secondary_opts, key=len)
