"""`millrace try`, `send-sample`, `kit-simulator`: seeing it work without accounts."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

import streams
from streams import roles, samples
from streams.catalogue_file import load_catalogue
from streams.cli.context import Context, run, run_until_signal
from streams.cli.output import notices, print_json, print_table, say
from streams.cli.status_commands import wait_idle
from streams.errors import MillraceError
from streams.kit.simulator import KitSimulator, serve_simulator
from streams.logging_setup import configure_logging
from streams.roles import Addresses
from streams.samples import SendReport, send_sample
from streams.settings import Settings, http_url

EXAMPLE = "catalogue.example.toml"
TRY_SECRET = "whsec_only_for_trying_out"  # noqa: S105 - signs a sample on this machine, nothing else
TRY_REQUESTS_PER_MINUTE = 6000
"""The simulated Kit of a try-out is in no hurry to refuse: nobody should wait a minute for a first look."""
SETTLE_SECONDS_MAX = 120.0


def add_to(app: typer.Typer) -> None:
    app.command("try")(try_out)
    app.command("send-sample")(send_sample_command)
    app.command("kit-simulator")(kit_simulator)


def try_out(
    once: Annotated[bool, typer.Option("--once", help="End when the sample history has settled.")] = False,
    catalogue: Annotated[Path | None, typer.Option(help="Another catalogue.")] = None,
    customers: Annotated[int, typer.Option(min=1, help="Customers in the sample history.")] = 25,
    seed: Annotated[int, typer.Option(help="Another seed, another history.")] = 1,
) -> None:
    """The whole of Millrace on this machine, with a simulated Kit and a sample Stripe history."""
    configure_logging("text")
    raise typer.Exit(
        run_until_signal(lambda stop: _try(stop, once, catalogue or _example_catalogue(), customers, seed))
    )


async def _try(stop: asyncio.Event, once: bool, catalogue: Path, customers: int, seed: int) -> int:
    parsed = load_catalogue(catalogue)
    kit = KitSimulator(requests_per_minute=TRY_REQUESTS_PER_MINUTE, sequences=parsed.catalogue.sequence_names())
    kit_url = await kit.start("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="millrace-try-") as folder:
        settings = _try_settings(Path(folder), catalogue, kit_url)
        running, addresses = await roles.started(roles.up, settings, stop)
        try:
            if addresses is not None:
                await _show(settings, addresses, kit, customers, seed)
                if once:
                    stop.set()
                else:
                    say("Ctrl-C ends it; what it wrote is thrown away then.")
            return await running
        finally:
            stop.set()
            await asyncio.wait({running})
            await kit.stop()


def _example_catalogue() -> Path:
    """At the top of a checkout; in an installed wheel beside the samples that it fits."""
    beside_samples = Path(samples.__file__).parent / EXAMPLE
    return beside_samples if beside_samples.exists() else Path(streams.__file__).parent.parent / EXAMPLE


def _try_settings(folder: Path, catalogue: Path, kit_url: str) -> Settings:
    return Settings(
        broker=f"sqlite:///{folder / 'log.db'}",
        data_dir=folder,
        catalogue=catalogue,
        stripe_webhook_secrets=(TRY_SECRET,),
        stripe_livemode=False,
        kit_api_key="kit_only_for_trying_out",
        kit_api_base=kit_url,
        kit_requests_per_minute=TRY_REQUESTS_PER_MINUTE,
        edge_port=0,
        ops_port=0,
    )


async def _show(settings: Settings, addresses: Addresses, kit: KitSimulator, customers: int, seed: int) -> None:
    assert addresses.edge is not None
    say(f"a sample history of {customers} customers goes to {addresses.edge}/webhooks/stripe, signed")
    report = await _sent(settings, addresses.edge, customers=customers, seed=seed, shuffle=True, duplicate=0.1)
    say(f"{report.sent} events sent, {report.duplicates} of them twice, in no order")
    reachable = settings.model_copy(update={"ops_port": int(addresses.ops.rsplit(":", 1)[1])})
    await wait_idle(reachable, SETTLE_SECONDS_MAX)
    _print_kit(kit)
    say(f"dashboard, so far the status: {addresses.ops}/ops/")


def _print_kit(kit: KitSimulator) -> None:
    held = kit.snapshot()
    print_table(
        ("email", "state", "tags", "fields", "sequences"),
        [
            (
                one.email_address,
                one.state,
                "\n".join(one.tags),
                "\n".join(f"{key}={value}" for key, value in sorted(one.fields.items()) if value),
                "\n".join(sorted(one.sequences)),
            )
            for one in held.subscribers
        ],
        title=f"What Kit now holds: {len(held.subscribers)} subscribers after {held.requests} requests",
    )


def send_sample_command(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="The same seed writes the same history.")] = 1,
    customers: Annotated[int, typer.Option(min=1)] = 25,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Deliver in a random order.")] = False,
    duplicate: Annotated[float, typer.Option(min=0, max=1, help="Share of events delivered twice.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Sends a signed, self-consistent sample Stripe history to the edge."""
    given: Context = context.obj
    settings = given.settings
    url = http_url(settings.edge_host, settings.edge_port)
    report = run(lambda: _sent(settings, url, customers=customers, seed=seed, shuffle=shuffle, duplicate=duplicate))
    if as_json:
        print_json(report)
    else:
        say(f"{report.sent} events sent, {report.duplicates} of them twice; {report.refused} refused")
    if report.refused:
        raise typer.Exit(MillraceError.exit_code)


async def _sent(
    settings: Settings, url: str, *, customers: int, seed: int, shuffle: bool, duplicate: float
) -> SendReport:
    with Progress(console=notices, transient=True) as progress:
        task = progress.add_task("sending", total=None)
        return await send_sample(
            settings,
            seed=seed,
            customers=customers,
            shuffle=shuffle,
            duplicate=duplicate,
            url=url,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )


def kit_simulator(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8090,
    state: Annotated[Path | None, typer.Option(help="Keep the simulated account in this file.")] = None,
    requests_per_minute: Annotated[int, typer.Option(min=1)] = 120,
    sequence: Annotated[list[str] | None, typer.Option(help="A sequence the account has; may be repeated.")] = None,
) -> None:
    """The simulated Kit, for trying out and for tests; it listens on loopback only."""
    configure_logging("text")
    say(f"simulated Kit at http://127.0.0.1:{port}: set MILLRACE_KIT_API_BASE to that")

    async def serve(stop: asyncio.Event) -> int:
        await serve_simulator(
            "127.0.0.1",
            port,
            state_file=state,
            requests_per_minute=requests_per_minute,
            sequences=tuple(sequence or ()),
            stop=stop,
        )
        return 0

    run_until_signal(serve)
