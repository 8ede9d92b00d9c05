"""What a lane makes of the records it takes: batches, the overlay, dead letters, and what a failed commit leaves."""

import asyncio
import json

import pytest
import structlog

from processors.messages import decode_dead_letter
from processors.record import Advanced, Record, Source, Topic, View
from streams.errors import Fenced, LogUnusable
from streams.transactions import batch as batch_module
from streams.transactions.batch import BATCH_RECORDS_MAX
from streams.transactions.overlay import Overlay, Written
from tests.unit.engine_parts import Bench, Total, counting_agent


async def test_an_idle_lane_commits_a_record_at_once():
    bench = Bench()
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(41))
    await bench.settled(42)
    (batch,) = bench.batches()
    assert [(change.key, change.value) for change in batch.changelog] == [(b"k", b'{"n":1}')]
    assert [json.loads(output.value) for output in batch.outputs] == [{"type": "said", "what": "k=1"}]
    assert batch.next_offset == 42
    await bench.engine.close()


async def test_records_fetched_together_are_one_batch_although_they_arrive_one_by_one():
    bench = Bench()
    await bench.open(0)
    first, second = bench.consumer.fetch(0, 1)
    await bench.submit(first)
    for _ in range(5):  # Faust takes a few turns of the loop for each: the lane has made its first step by then
        await asyncio.sleep(0)
    await bench.submit(second)
    await bench.settled(2)
    (batch,) = bench.batches()
    assert batch.next_offset == 2
    await bench.engine.close()


async def test_a_record_that_is_lost_on_the_way_does_not_hold_up_the_others():
    bench = Bench()
    await bench.open(0)
    first, _lost = bench.consumer.fetch(0, 1)
    await bench.submit(first)
    await bench.settled(1)
    (batch,) = bench.batches()
    assert batch.next_offset == 1
    await bench.engine.close()


async def test_what_gathers_during_a_commit_makes_one_batch_with_one_changelog_record_per_key():
    bench = Bench()
    await bench.open(0)
    bench.transactor().gate.clear()
    await bench.submit(*bench.consumer.fetch(0))
    await bench.transactor().committing.wait()
    await bench.submit(*bench.consumer.fetch(1, 2, 3), *bench.consumer.fetch(4, 5, key=b"other"))
    bench.transactor().gate.set()
    await bench.settled(6)
    _, second = bench.batches()
    assert [(change.key, change.value) for change in second.changelog] == [(b"k", b'{"n":4}'), (b"other", b'{"n":2}')]
    assert [json.loads(output.value)["what"] for output in second.outputs] == [
        "k=2",
        "k=3",
        "k=4",
        "other=1",
        "other=2",
    ]
    await bench.engine.close()


async def test_a_batch_ends_at_its_limit():
    bench = Bench()
    await bench.open(0)
    bench.transactor().gate.clear()
    await bench.submit(*bench.consumer.fetch(0))
    await bench.transactor().committing.wait()
    await bench.submit(*bench.consumer.fetch(*range(1, BATCH_RECORDS_MAX + 2)))
    bench.transactor().gate.set()
    await bench.settled(BATCH_RECORDS_MAX + 2)
    assert [batch.next_offset for batch in bench.batches()] == [1, BATCH_RECORDS_MAX + 1, BATCH_RECORDS_MAX + 2]
    await bench.engine.close()


async def test_a_step_sees_the_committed_state_and_its_own_writes():
    bench = Bench()
    bench.table.partitions = {0: {b"k": b'{"n":40}'}}
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0, 1))
    await bench.settled(2)
    assert bench.table.get(0, b"k") == b'{"n":42}'
    await bench.engine.close()


async def test_outputs_inherit_source_and_time_and_find_the_partition_of_their_key():
    bench = Bench()
    await bench.open(0)
    headers = (("received_ms", b"5"), ("source", b"kit"))
    await bench.submit(*bench.consumer.fetch(0, headers=headers))
    await bench.settled(1)
    (output,) = bench.batches()[0].outputs
    assert (output.topic, output.key, output.source, output.received_ms, output.partition) == (
        Topic.CUSTOMER_CHANGES,
        b"k",
        Source.KIT,
        5,
        b"k"[0] % 4,
    )
    await bench.engine.close()


async def test_a_record_without_an_effect_still_moves_the_offset():
    bench = Bench()
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(9, value=b"nothing"))
    await bench.settled(10)
    (batch,) = bench.batches()
    assert (list(batch.changelog), list(batch.outputs), batch.next_offset) == ([], [], 10)
    assert not [entry for entry in bench.journal if entry[0] == "table"]
    await bench.engine.close()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (None, "source is missing"),
        ((("source", b"webhook"),), "received_ms is missing"),
        ((("source", b"nobody"), ("received_ms", b"1")), "'nobody' is not a valid Source"),
        ((("source", b"webhook"), ("received_ms", b"soon")), "invalid literal"),
        ((("source", b"\xff"), ("received_ms", b"1")), "can't decode"),
    ],
)
async def test_a_record_with_broken_headers_becomes_a_dead_letter_and_the_stream_goes_on(headers, reason):
    bench = Bench()
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0, headers=headers, value=b"\x00raw"), *bench.consumer.fetch(1))
    await bench.settled(2)
    letter, said = [output for batch in bench.batches() for output in batch.outputs]
    assert (letter.topic, letter.key, said.topic) == (Topic.DEAD_LETTERS, b"customer.events", Topic.CUSTOMER_CHANGES)
    dead = decode_dead_letter(letter.value)
    assert (dead.topic, dead.partition, dead.offset, dead.key, dead.raw) == ("customer.events", 0, 0, b"k", b"\x00raw")
    assert reason in dead.reason
    assert dead.received_ms == letter.received_ms == 1_600_000_000_000  # the record's own time, no clock's
    assert bench.engine.counts.dead_letters == 1
    await bench.engine.close()


async def test_a_step_that_raises_makes_a_dead_letter_a_loud_line_and_the_stream_goes_on():
    bench = Bench()
    await bench.open(0)
    with structlog.testing.capture_logs() as lines:
        await bench.submit(*bench.consumer.fetch(0), *bench.consumer.fetch(1, value=b"boom"), *bench.consumer.fetch(2))
        await bench.settled(3)
    outputs = [output for batch in bench.batches() for output in batch.outputs]
    assert [output.topic for output in outputs].count(Topic.DEAD_LETTERS) == 1
    assert bench.table.get(0, b"k") == b'{"n":2}'
    assert [(line["action"], line["log_level"], line["offset"]) for line in lines] == [("dead_letter", "error", 1)]
    assert not bench.failures
    await bench.engine.close()


async def test_a_state_too_large_for_the_log_makes_a_dead_letter(monkeypatch):
    monkeypatch.setattr(batch_module, "VALUE_BYTES_MAX", 50)

    def swell(view: View[Total], record: Record) -> Advanced[Total]:
        return Advanced("k", Total(10**60))

    bench = Bench(counting_agent(swell))
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0))
    await bench.settled(1)
    (batch,) = bench.batches()
    assert not batch.changelog
    assert "bytes, at most 50" in decode_dead_letter(batch.outputs[0].value).reason
    await bench.engine.close()


async def test_a_key_or_value_that_is_missing_is_empty():
    seen = []

    def look(view: View[Total], record: Record) -> Advanced[Total]:
        seen.append((record.key, record.value))
        return Advanced("", None)

    bench = Bench(counting_agent(look))
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0, key=None, value=None))
    await bench.settled(1)
    assert seen == [(b"", b"")]
    await bench.engine.close()


async def test_a_failed_commit_leaves_the_table_untouched_and_stops_the_worker():
    bench = Bench()
    await bench.open(0)
    bench.transactor().failure = Fenced("another worker owns it")
    await bench.submit(*bench.consumer.fetch(0))
    await asyncio.wait_for(bench.failed.wait(), 5)
    assert isinstance(bench.failures[0], Fenced)
    assert bench.table.partitions == {}
    assert [entry[0] for entry in bench.journal] == ["opened"]
    await bench.engine.close()


async def test_a_state_that_cannot_be_read_stops_the_worker_instead_of_burying_records():
    bench = Bench()
    await bench.open(0)
    bench.table.partitions = {0: {b"k": b"not what we wrote"}}
    await bench.submit(*bench.consumer.fetch(0))
    await asyncio.wait_for(bench.failed.wait(), 5)
    assert isinstance(bench.failures[0], LogUnusable)
    assert "'k'" in str(bench.failures[0])
    assert bench.batches() == []
    await bench.engine.close()


def test_a_committed_state_is_decoded_once_in_a_batch_and_gives_way_to_what_the_batch_writes():
    table, decoded = {b"k": b"1"}, []

    def decode(encoded: bytes) -> int:
        decoded.append(encoded)
        return int(encoded)

    overlay = Overlay(table.get, decode)
    assert [overlay.get("k"), overlay.get("k"), overlay.get("absent"), overlay.get("absent")] == [1, 1, None, None]
    assert decoded == [b"1"]
    overlay.written["k"] = Written(2, b"2")
    overlay.written["absent"] = Written(3, b"3")
    assert (overlay.get("k"), overlay.get("absent")) == (2, 3)
