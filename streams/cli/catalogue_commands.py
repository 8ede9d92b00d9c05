"""`millrace check`, `schema`, `apply`: the catalogue file, before and while a system runs."""

from typing import Annotated, Any

import typer

from processors.catalogue.document import Note, Parsed, not_acted_on
from processors.catalogue.schema import json_schema
from streams.catalogue_apply import apply_document
from streams.catalogue_file import load_catalogue
from streams.cli.context import Context, run
from streams.cli.ops_client import OpsAbsent, OpsClient
from streams.cli.output import print_json, say, screen
from streams.clock import now_ms
from streams.open_log import open_log
from streams.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    app.command("check")(check)
    app.command("schema")(schema)
    app.command("apply")(apply)


def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Validates settings and catalogue; says which rules this version does not act on yet."""
    given: Context = context.obj
    settings = given.settings
    parsed = load_catalogue(settings.catalogue)
    notes = (*parsed.notes, *not_acted_on(parsed))
    if as_json:
        print_json({"catalogue": str(settings.catalogue), "version": parsed.version, "notes": notes})
        return
    say(f"settings and {settings.catalogue} are valid: {len(parsed.catalogue.offers)} offers")
    for note in notes:
        screen.print(_line(settings, note), markup=False, soft_wrap=True)


def _line(settings: Settings, note: Note) -> str:
    return f"{settings.catalogue}:{note.line}: {note.key}: {note.text}"


def schema() -> None:
    """The catalogue's JSON Schema, for editors."""
    print_json(json_schema())


def apply(context: typer.Context, as_json: AsJson = False) -> None:
    """Re-evaluates every customer against the catalogue file; a wrong file never replaces the applied one."""
    given: Context = context.obj
    settings = given.settings
    parsed = load_catalogue(settings.catalogue)
    answer = run(lambda: _applied(settings, parsed))
    if as_json:
        print_json(answer)
    elif answer["applied"]:
        say(f"applied {settings.catalogue} as version {answer['version'][:12]}")
    else:
        say(f"{settings.catalogue} is the applied one already (version {answer['version'][:12]})")


async def _applied(settings: Settings, parsed: Parsed) -> dict[str, Any]:
    async with OpsClient(settings) as ops:
        try:
            return await ops.post("/ops/api/apply", parsed.document)
        except OpsAbsent:
            if not settings.embedded:
                raise
    log = open_log(settings)
    await log.start()
    try:
        version, new = await apply_document(log, parsed.document, settings, now_ms())
    finally:
        await log.stop()
    return {"version": version, "applied": new}
