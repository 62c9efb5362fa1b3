"""The command line: a Typer app with one short module per command in `commands/`.

A command parses its options, calls the API or a package below it, and prints. Files with a leading
underscore hold what several commands share. This is the only package that imports typer and rich,
and it imports torch only inside functions, so that `vae --help` does not wait for it.
"""
