"""The command line: a Typer app with one short module per command in `commands/`."""
