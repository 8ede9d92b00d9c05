"""`millrace up`, `edge`, `worker`, `ops`: they run until Ctrl-C or SIGTERM, then drain."""

import typer

from streams import roles
from streams.cli.context import Context, run_until_signal
from streams.cli.output import say
from streams.roles import Addresses, Role


def add_to(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("edge")(edge)
    app.command("worker")(worker)
    app.command("ops")(ops)


def up(context: typer.Context) -> None:
    """Edge, worker and ops in one process: all there is, on the embedded log or on Kafka."""
    _run(roles.up, context)


def edge(context: typer.Context) -> None:
    """The public edge alone: takes webhooks into the log. Needs a kafka:// broker."""
    _run(roles.edge, context)


def worker(context: typer.Context) -> None:
    """The agents and the Kit dispatcher alone. Needs a kafka:// broker; start as many as there is work for."""
    _run(roles.worker, context)


def ops(context: typer.Context) -> None:
    """Status, pages and the ops API alone. Needs a kafka:// broker."""
    _run(roles.ops, context)


def _run(role: Role, context: typer.Context) -> None:
    given: Context = context.obj
    settings = given.settings
    code = run_until_signal(lambda stop: role(settings, stop, _announce))
    raise typer.Exit(code)


def _announce(addresses: Addresses) -> None:
    if addresses.edge is not None:
        say(f"webhooks at {addresses.edge}/webhooks/stripe")
    say(f"status at {addresses.ops}/ops/api/status, health at {addresses.ops}/readyz")
