"""Load on an HTTP server by vegeta, which is written in Go: it takes less of the machine than what it measures.

A vegeta on the path is used, else one is built once into the user's cache where Go is present.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.events import Body
from streams.edge.signatures import signed_header

VERSION = "v12.13.0"
MODULE = f"github.com/tsenart/vegeta/v12@{VERSION}"
BUILD_SECONDS_MAX = 300
CONNECTIONS = 50


class NoVegeta(Exception):  # noqa: N818 - says what is missing
    """There is none, and none can be built; the message says what would bring it."""


class Load(NamedTuple):
    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float


def vegeta() -> str:
    """The path of one that runs. Raises NoVegeta."""
    found = shutil.which("vegeta")
    if found:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "millrace-bench" / f"vegeta-{VERSION}" / "vegeta"
    if not program.exists():
        _build(program)
    return str(program)


def _build(program: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NoVegeta("no load generator: put vegeta on the path, or install Go, which builds it")
    program.parent.mkdir(parents=True, exist_ok=True)
    # Go may need to fetch what the module asks for, but never another Go.
    environment = os.environ | {"GOBIN": str(program.parent), "GOFLAGS": "-modcacherw"}
    command = [go, "install", MODULE]
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX)
    except subprocess.SubprocessError as error:
        raise NoVegeta(
            f"`go install {MODULE}` failed: {error} {(getattr(error, 'stderr', '') or '')[-500:]}"
        ) from error


def write_targets(file: Path, url: str, secret: str, bodies: Sequence[Body]) -> None:
    """One signed request for each body, as Stripe would sign it now: they are good for five minutes."""
    now = int(time.time())
    with file.open("w") as lines:
        for body in bodies:
            header = {
                "Content-Type": ["application/json"],
                "Stripe-Signature": [signed_header(secret, body.value, now)],
            }
            target = {"method": "POST", "url": url, "header": header, "body": base64.b64encode(body.value).decode()}
            lines.write(json.dumps(target) + "\n")


def attack(program: str, targets: Path, seconds: float) -> Load:
    """As fast as it goes over CONNECTIONS connections, the targets one after the other, again from the first."""
    with tempfile.NamedTemporaryFile(prefix="millrace-bench-", suffix=".bin") as results:
        workers = str(CONNECTIONS)
        options = ["-format=json", f"-targets={targets}", "-rate=0", f"-duration={seconds}s"]
        options += [f"-workers={workers}", f"-max-workers={workers}", f"-connections={workers}"]
        subprocess.run([program, "attack", *options, f"-output={results.name}"], check=True)
        said = subprocess.run([program, "report", "-type=json", results.name], check=True, capture_output=True).stdout
    report = json.loads(said)
    if set(report["status_codes"]) != {"200"}:
        raise RuntimeError(f"not every answer was 200: {report['status_codes']} {report['errors'][:3]}")
    latencies = report["latencies"]
    return Load(report["requests"], report["throughput"], latencies["50th"] / 1e6, latencies["99th"] / 1e6)
