"""Opening the SQLite file of the log: pragmas, schema and its number, the checks that refuse a file we cannot trust.

streams/embedded/store.py calls `connect`; every way a file can be unusable ends here in a LogUnusable with the remedy.
"""

import os
import secrets
import sqlite3
from pathlib import Path

from streams.errors import LogUnusable

SCHEMA = 1
APPLICATION_ID = 0x4D696C6C
"""`Mill`, in the file's header: another program's database is refused instead of filled."""

PAGE_BYTES = 8192
"""Measured: with 4096 more pages are written for the same records, with more an idle commit writes more bytes."""
CACHE_KIBIBYTES = 32 * 1024
"""Inner pages and the index's right edges stay in memory; values are written once and read from the tail cache."""
CHECKPOINT_PAGES = 2000
"""A checkpoint after 16 MiB: long enough to batch the writes, short enough that the commit that pays is not noticed."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
"""A write-ahead log that a slow reader let grow is cut back to this."""
BUSY_SECONDS_MAX = 2.0
"""Nobody else writes, but a person with the sqlite3 shell may lock the file for a moment."""
CHECKED_BYTES_MAX = 64 * 1024 * 1024
"""Up to this size every start checks the whole file (below a second); larger ones fail when a bad page is met."""

_TABLES = """
CREATE TABLE about (log_id TEXT NOT NULL);
CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    compacted INTEGER NOT NULL,
    retention_ms INTEGER
);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL REFERENCES topics,
    number INTEGER NOT NULL,
    UNIQUE (topic, number)
);
-- Plain topics: what one group of appends brought to one partition is one row (batches.py). In both tables rows are
-- only ever added at the right edge, whatever partition they belong to.
CREATE TABLE batches (
    position INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    records BLOB NOT NULL
);
CREATE UNIQUE INDEX batches_in_order ON batches (partition, last_offset);
-- Compacted topics: one row for each key (latest.py).
CREATE TABLE latest (
    position INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB,
    source TEXT,
    received_ms INTEGER
);
CREATE UNIQUE INDEX latest_in_order ON latest (partition, "offset");
CREATE UNIQUE INDEX latest_of_key ON latest (partition, key);
CREATE INDEX deletions ON latest (partition, timestamp_ms) WHERE value IS NULL;
CREATE TABLE committed (
    group_name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, partition)
) WITHOUT ROWID;
"""


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection ready to use (from one thread at a time). Raises LogUnusable."""
    if read_only and not path.exists():
        raise LogUnusable(f"There is no log at {path}. Start `millrace up` once, or correct MILLRACE_BROKER.")
    if not read_only:
        create_file(path)
    mode = "ro" if read_only else "rw"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS_MAX,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        _prepare(connection, path, read_only=read_only)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except LogUnusable:
        connection.close()
        raise
    return connection


def create_file(path: Path) -> None:
    """Creates what is missing, for the owner's eyes only (it holds people's data), and makes the names durable.

    Raises LogUnusable.
    """
    if path.exists():
        return
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        for folder in {path.parent, *(each.parent for each in missing)}:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise LogUnusable(
            f"The log {path} cannot be created: {error.strerror}. Make the folder writable or set MILLRACE_BROKER."
        ) from error


def unusable(path: Path, error: sqlite3.Error) -> LogUnusable:
    """What to tell people when SQLite refuses the file."""
    if _primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, str(error))
    return LogUnusable(
        f"The log {path} cannot be used: {error}. Check the path in MILLRACE_BROKER, its permissions and its disk."
    )


def is_passing(error: sqlite3.Error) -> bool:
    """Whether room on the disk, or a lock that somebody lets go, cures it; a repeated commit writes all of it again."""
    return getattr(error, "sqlite_errorcode", None) in _PASSING or _primary_code(error) in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
    }


_PASSING = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,  # a quota
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _prepare(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables:
        _refuse_strangers(connection, path)
    elif read_only:
        raise LogUnusable(f"The log {path} is still empty: start `millrace up` once.")
    if read_only:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        return
    tune(connection)
    if not tables:  # also after a first start that was killed before its schema was committed
        _create_schema(connection)
    elif path.stat().st_size <= CHECKED_BYTES_MAX:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _damaged(path, verdict.splitlines()[-1])


def tune(connection: sqlite3.Connection) -> None:
    """The pragmas that decide about durability and speed; bench/embedded_log.py gives its rival the same."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that is still empty
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")


def _refuse_strangers(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise LogUnusable(f"{path} is a database, but not a Millrace log. Set MILLRACE_BROKER to another path.")
    if schema > SCHEMA:
        raise LogUnusable(
            f"The log {path} has schema {schema}, written by a newer Millrace; this one reads up to {SCHEMA}. "
            "Install the newer version again; the file is unchanged."
        )


def _create_schema(connection: sqlite3.Connection) -> None:
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
    connection.execute("INSERT INTO about VALUES (?)", (secrets.token_hex(16),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def _damaged(path: Path, finding: str) -> LogUnusable:
    return LogUnusable(
        f"The log {path} is damaged ({finding}). Keep a copy of it, then restore the last backup; without one, "
        f"`sqlite3 {path} .recover | sqlite3 recovered.db` saves what can be read. Check the disk."
    )
