"""The command `millrace`: settings in, one role or one answer out, exit codes as docs/interfaces.md §2 says.

0 done · 1 the work failed or found what it looks for · 2 wrong usage or configuration · 3 something outside is not
reachable · 70 a worker was overtaken or could not commit. Commands live beside this file by subject; each adds itself
to `app`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from streams.cli.catalogue_commands import add_to as add_catalogue_commands
from streams.cli.context import Context
from streams.cli.output import say
from streams.cli.roles_commands import add_to as add_role_commands
from streams.cli.status_commands import add_to as add_status_commands
from streams.cli.try_commands import add_to as add_try_commands
from streams.errors import MillraceError

app = typer.Typer(
    name="millrace",
    help="Keeps Kit (ConvertKit) true to Stripe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def settings_from(
    context: typer.Context,
    env_file: Annotated[
        Path | None, typer.Option("--env-file", help="Read settings from this file; the environment goes first.")
    ] = None,
) -> None:
    context.obj = Context(env_file)


for add_commands in (add_role_commands, add_catalogue_commands, add_status_commands, add_try_commands):
    add_commands(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Ends by SystemExit with the exit code; `arguments` None: those of the process."""
    try:
        app(arguments)
    except MillraceError as error:
        say(f"millrace: {error}")
        sys.exit(error.exit_code)
    sys.exit(0)
