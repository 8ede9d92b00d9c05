"""Records a second of the embedded log beside bare SQLite, in alternating rounds of one run: one JSON line.

The log: 64 appends of 3 kB in flight, each waiting for its own fsynced acknowledgement. Bare SQLite: the same bytes by
`executemany` in transactions of 64, in the same folder, with the same pragmas, and nothing else to do. Run it with
`python -m bench.embedded_log`; bench/__main__.py calls `main` with the others.
"""

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.figures import report, spread
from processors.record import Source, Topic
from streams.embedded.database import tune
from streams.embedded.log import EmbeddedLog
from streams.log import NewRecord
from streams.settings import Settings

IN_FLIGHT = 64
RECORD_BYTES = 3000
ROUND_RECORDS = 6400
"""More than a checkpoint's worth of pages, so that each round pays for one."""
ROUNDS = 15
KEYS = 500


async def main() -> None:
    value = os.urandom(RECORD_BYTES)
    keys = [b"cus_%d" % (number % KEYS) for number in range(ROUND_RECORDS)]
    records = [NewRecord(Topic.CUSTOMER_EVENTS, key, value, Source.WEBHOOK, 0) for key in keys]
    rows = [(key, value) for key in keys]
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        log = EmbeddedLog(Settings(broker=f"sqlite:///{folder}/log.db"))
        await log.start()
        rival = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        tune(rival)
        rival.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, key BLOB, value BLOB)")
        try:
            await _log_round(log, records)
            _bare_round(rival, rows)
            pairs = [(await _log_round(log, records), _bare_round(rival, rows)) for _ in range(ROUNDS)]
        finally:
            await log.stop()
            rival.close()
    ours, bare = zip(*pairs, strict=True)
    report(
        "embedded_log_records_per_second",
        in_flight=IN_FLIGHT,
        record_bytes=RECORD_BYTES,
        rounds=ROUNDS,
        log=spread(ours, 0),
        bare_sqlite=spread(bare, 0),
        ratio=spread([one / other for one, other in pairs]),
        ratio_of_medians=round(statistics.median(ours) / statistics.median(bare), 2),
        goal_ratio=0.7,
    )


async def _log_round(log: EmbeddedLog, records: Sequence[NewRecord]) -> float:
    remaining = iter(records)

    async def appender() -> None:
        for record in remaining:
            await log.append(record)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as appenders:
        for _ in range(IN_FLIGHT):
            appenders.create_task(appender())
    return len(records) / (time.perf_counter() - began)


def _bare_round(rival: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes]]) -> float:
    began = time.perf_counter()
    for first in range(0, len(rows), IN_FLIGHT):
        rival.execute("BEGIN IMMEDIATE")
        rival.executemany("INSERT INTO records (key, value) VALUES (?, ?)", rows[first : first + IN_FLIGHT])
        rival.execute("COMMIT")
    return len(rows) / (time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.run(main())
