"""Applying a catalogue: all partitions at once, once per version, never a wrong file over an applied one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from processors.catalogue.document import Parsed, parse
from processors.messages import CatalogueApplied, decode_customer_message
from processors.record import Record, Source, Topic
from streams.catalogue_apply import (
    Standing,
    applied_version,
    apply_document,
    ensure_applied,
    start_with_catalogue,
)
from streams.catalogue_file import load_catalogue
from streams.errors import LogUnavailable, WrongCatalogue
from streams.log import NewRecord, Position
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000


class MemoryLog:
    """As much of a log as applying needs: appends and reads."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self.meanwhile: list[NewRecord] | None = None
        """What another process appends in place of the next append, which fails."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, record: NewRecord) -> Position:
        await self.append_all([record])
        return Position(self.records[-1].partition, self.records[-1].offset)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        if self.full:
            raise LogUnavailable("no room")
        if self.meanwhile is not None:
            others, self.meanwhile = self.meanwhile, None
            await self.append_all(others)
            raise LogUnavailable("fenced")
        for new in records:
            assert new.partition is not None
            offset = len(self.of(new.topic, new.partition))
            self.records.append(
                Record(new.topic, new.partition, offset, new.key, new.value, new.source, new.received_ms)
            )

    async def ends(self, topic: Topic) -> Mapping[int, int]:
        return {partition: len(self.of(topic, partition)) for partition in range(8)}

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        return dict.fromkeys(await self.ends(topic), 0)

    async def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        for record in self.of(topic, partition)[start:]:
            yield record

    async def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | None]:
        for record in [record for record in self.records if record.topic == topic]:
            if record.offset >= (start or {}).get(record.partition, 0):
                yield record
        yield None

    def of(self, topic: Topic, partition: int) -> list[Record]:
        return [record for record in self.records if (record.topic, record.partition) == (topic, partition)]

    def stripe_says(self, value: bytes) -> None:
        offset = len(self.of(Topic.CATALOGUE_EVENTS, 0))
        self.records.append(Record(Topic.CATALOGUE_EVENTS, 0, offset, b"prod_1", value, Source.WEBHOOK, NOW_MS))


def catalogue(name: str = "one") -> Parsed:
    return parse(f"[account]\nname = '{name}'")


async def applied(log: MemoryLog, settings: Settings, parsed: Parsed) -> bool:
    """Whether it was new."""
    _version, new = await apply_document(log, parsed.document, settings, NOW_MS)
    return new


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(partitions=3, catalogue=tmp_path / "catalogue.toml")


async def test_a_catalogue_goes_into_every_partition_and_into_its_own_topic(log: MemoryLog, settings: Settings):
    parsed = catalogue()
    assert await applied(log, settings, parsed)
    places = [(record.topic, record.partition, record.key) for record in log.records]
    assert places == [
        (Topic.CATALOGUE_EVENTS, 0, b"catalogue"),
        (Topic.CUSTOMER_EVENTS, 0, b"catalogue:0"),
        (Topic.CUSTOMER_EVENTS, 1, b"catalogue:1"),
        (Topic.CUSTOMER_EVENTS, 2, b"catalogue:2"),
    ]
    for record in log.records:
        assert record.received_ms == NOW_MS
        message = decode_customer_message(record.value)
        assert message == CatalogueApplied(version=parsed.version, document=parsed.document)


async def test_the_same_version_is_not_applied_twice(log: MemoryLog, settings: Settings):
    assert await applied(log, settings, catalogue())
    assert not await applied(log, settings, catalogue())
    assert len(log.records) == 4


async def test_an_older_version_may_be_applied_again(log: MemoryLog, settings: Settings):
    for name in ("one", "two", "one"):
        assert await applied(log, settings, catalogue(name))
    assert await applied_version(log) == catalogue("one").version


async def test_nothing_is_applied_in_an_empty_log(log: MemoryLog):
    assert await applied_version(log) is None


async def test_stripes_own_events_are_passed_over(log: MemoryLog, settings: Settings):
    log.stripe_says(b'{"type": "product.created", "id": "evt_1"}')
    await applied(log, settings, catalogue())
    for value in (b'{"type": "price.updated"}', b"not JSON", b'{"type": 7}', b"[]", b"", b"[" * 100_000):
        log.stripe_says(value)
    assert await applied_version(log) == catalogue().version


async def test_a_catalogue_of_a_newer_millrace_is_not_read_past(log: MemoryLog, settings: Settings):
    await applied(log, settings, catalogue())
    log.stripe_says(b'{"type": "catalogue_applied", "schema": 2, "version": "x", "document": {}}')
    with pytest.raises(WrongCatalogue, match="update this one"):
        await applied_version(log)


async def test_a_log_without_room_is_told_and_nothing_is_applied(log: MemoryLog, settings: Settings):
    log.full = True
    with pytest.raises(LogUnavailable):
        await applied(log, settings, catalogue())
    assert log.records == []


async def test_a_document_that_was_sent_is_checked_like_a_file(log: MemoryLog, settings: Settings):
    with pytest.raises(WrongCatalogue, match=r"document:1: offer\[1\]\.tier: unknown tier 'x'"):
        await apply_document(log, {"offer": [{"name": "a", "prices": ["p"], "tier": "x"}]}, settings, NOW_MS)
    assert log.records == []
    parsed = catalogue()
    assert await apply_document(log, parsed.document, settings, NOW_MS) == (parsed.version, True)
    assert await apply_document(log, parsed.document, settings, NOW_MS) == (parsed.version, False)


async def test_the_first_start_applies_and_a_changed_file_waits(log: MemoryLog, settings: Settings):
    with capture_logs() as lines:
        assert await ensure_applied(log, catalogue("one"), settings, NOW_MS) is Standing.FIRST_APPLIED
        assert await ensure_applied(log, catalogue("one"), settings, NOW_MS) is Standing.UNCHANGED
        assert await ensure_applied(log, catalogue("two"), settings, NOW_MS) is Standing.WAITING
    assert await applied_version(log) == catalogue("one").version
    assert [line["standing"] for line in lines] == ["first_applied", "unchanged", "waiting"]
    assert "until `millrace apply`" in lines[-1]["event"]


async def test_a_start_that_another_one_got_ahead_of_finds_its_catalogue_applied(log: MemoryLog, settings: Settings):
    ahead = MemoryLog()
    await ensure_applied(ahead, catalogue(), settings, NOW_MS)
    log.meanwhile = [NewRecord(r.topic, r.key, r.value, r.source, r.received_ms, r.partition) for r in ahead.records]
    assert await ensure_applied(log, catalogue(), settings, NOW_MS) is Standing.UNCHANGED
    assert len(log.records) == len(ahead.records)


async def test_a_start_whose_append_was_spoilt_tries_again(log: MemoryLog, settings: Settings):
    log.meanwhile = []
    assert await ensure_applied(log, catalogue(), settings, NOW_MS) is Standing.FIRST_APPLIED


async def test_a_changed_file_is_applied_at_once_where_the_settings_say_so(log: MemoryLog, settings: Settings):
    settings = settings.model_copy(update={"catalogue_auto_apply": True})
    await ensure_applied(log, catalogue("one"), settings, NOW_MS)
    assert await ensure_applied(log, catalogue("two"), settings, NOW_MS) is Standing.APPLIED
    assert await applied_version(log) == catalogue("two").version


async def test_a_wrong_file_never_replaces_the_applied_catalogue(log: MemoryLog, settings: Settings):
    settings.catalogue.write_text("[while.active]\ntags = ['a']")
    assert await start_with_catalogue(log, settings, NOW_MS) is Standing.FIRST_APPLIED
    before = await applied_version(log)
    settings.catalogue.write_text("[while.activ]\ntags = ['b']")
    with capture_logs() as lines:
        assert await start_with_catalogue(log, settings, NOW_MS) is Standing.REFUSED
    assert await applied_version(log) == before
    assert "unknown state 'activ'" in lines[-1]["event"]
    assert lines[-1]["log_level"] == "error"


async def test_a_first_start_with_a_wrong_file_is_refused(log: MemoryLog, settings: Settings):
    with pytest.raises(WrongCatalogue, match="there is no such file"):
        await start_with_catalogue(log, settings, NOW_MS)
    assert log.records == []


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_example_is_loaded_with_its_codes_beside_it():
    assert (
        load_catalogue(ROOT / "catalogue.example.toml").version
        == parse((ROOT / "catalogue.example.toml").read_text()).version
    )


def test_a_wrong_file_is_told_with_its_path_every_fault_and_what_to_do(tmp_path: Path):
    path = tmp_path / "catalogue.toml"
    path.write_text("[while.activ]\n[[delivery]]\nname = 'd'\nkind = 'code'\ncodes_file = 'codes/none.txt'\n")
    with pytest.raises(WrongCatalogue) as caught:
        load_catalogue(path)
    first, second, remedy = str(caught.value).split("\n")
    assert first.startswith(f"{path}:1: while.activ: unknown state 'activ'; allowed: active, ")
    assert second.startswith(f"{path}:5: delivery[1].codes_file: 'codes/none.txt' cannot be read")
    assert remedy == "2 faults: nothing was applied; correct the file, then run `millrace check`"


def test_codes_are_found_relative_to_the_catalogue(tmp_path: Path):
    (tmp_path / "codes.txt").write_text("A-1\n")
    path = tmp_path / "catalogue.toml"
    path.write_text("[[delivery]]\nname = 'd'\nkind = 'code'\ncodes_file = 'codes.txt'\n")
    assert load_catalogue(path).document["delivery"][0]["codes_file"] == "codes.txt"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    path = tmp_path / "catalogue.toml"
    path.write_bytes(b"\xef\xbb\xbf[account]\nname = 'one'")
    assert load_catalogue(path).version == catalogue().version


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"[account]\nname = '\xff'", r":2: not UTF-8"), (b"#" * 4_000_001, "larger than 4000000 bytes")],
)
def test_a_file_that_is_no_catalogue_at_all_is_told(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "catalogue.toml"
    path.write_bytes(content)
    with pytest.raises(WrongCatalogue, match=message):
        load_catalogue(path)


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(WrongCatalogue, match="cannot be read"):
        load_catalogue(tmp_path)
