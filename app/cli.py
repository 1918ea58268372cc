"""The command line `cytojepa`: one verb, one thing. Verbs are loaded when they are called."""

import builtins
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from app.name_clash import refuse_foreign_datasets

VERBS = {
    "agreement": "agreement",
    "api": "api",
    "backup": "backup",
    "database": "database",
    "demo": "demo",
    "detect": "detect",
    "doctor": "doctor",
    "embed": "learn",
    "evaluate": "evaluate",
    "exemplars": "exemplars",
    "export": "study",
    "fetch": "fetch",
    "fit": "study",
    "import": "imports",
    "ingest": "ingest",
    "map": "maps",
    "order": "order",
    "parts": "parts",
    "pretrain": "learn",
    "report": "report",
    "restore": "backup",
    "quality": "quality",
    "serve": "serve",
    "testset": "testset",
    "users": "users",
    "verify": "verify",
    "worklist": "study",
}
"""Verb to module of `app.commands`; importing torch for `cytojepa users` would cost seconds."""


class Verbs(click.Group):
    """A group that imports the module of a verb only when that verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs in the order of the alphabet."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb, None when there is none of that name."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"app.commands.{VERBS[cmd_name]}")
        # `import` and `map` are words of Python's own: their functions have an underscore behind them.
        has_other_name = iskeyword(cmd_name) or cmd_name in dir(builtins)
        verb: click.Command = getattr(module, f"{cmd_name}_" if has_other_name else cmd_name)
        return verb


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cytojepa")
def cytojepa() -> None:
    """Annotation assistant for cervical cytology. Research use only: not a medical device."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; the entry point of the distribution."""
    clash = refuse_foreign_datasets()
    if clash:
        click.echo(clash, err=True)
        sys.exit(1)
    return cytojepa(arguments, obj=list(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
