"""The command line: commands and their options, nothing else.

`main` stands here, as the entry point of the command `crosscheck`.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every error is one sentence on stderr and an exit status."""
    from crosscheck.cli.commands import main as run

    run(arguments)
