"""When lanes open, take, refuse, fetch again and close; and in which order a listener hears of it."""

import asyncio

import pytest

from streams.errors import Unreachable
from streams.transactions import engine as engine_module
from streams.transactions.lane import QUEUE_RECORDS_MAX
from tests.unit.engine_parts import SOURCE, TP, Bench, Message, Provenance, until


async def test_the_listener_hears_of_opening_commits_and_closing_in_order():
    bench = Bench()
    bench.table.partitions = {0: {b"a": b'{"n":1}'}, 1: {b"b": b'{"n":2}'}}
    await bench.open(0, 1)
    await bench.submit(*bench.consumer.fetch(0))
    await bench.settled(1)
    await bench.engine.close()
    assert [entry for entry in bench.journal if entry not in [("close", 1), ("closed", 1)]] == [
        ("opened", 0, {"a": 1}),
        ("opened", 1, {"b": 2}),
        ("commit", 0, 1),
        ("table", 0, [b"k"], 7),
        ("committed", 0, {"k": 1}),
        ("close", 0),
        ("closed", 0),
    ]


async def test_each_hold_of_a_partition_has_a_lane_of_its_own():
    bench = Bench()
    await bench.open(0)
    await bench.engine.close()
    await bench.open(0, generation=2)
    assert len(set(bench.listener.lanes)) == 2
    await bench.engine.close()


async def test_nothing_is_taken_before_the_table_is_recovered():
    bench = Bench()
    await bench.engine.open([0], 1)
    bench.consumer.seek(0, 0)
    await bench.submit(*bench.consumer.fetch(0))
    assert bench.engine.partitions == frozenset()
    bench.engine.ready(1)
    await bench.submit(*bench.consumer.fetch(1))  # fetched under a seek from before: the offset may be stale
    bench.consumer.seek(0, 0)
    await bench.submit(*bench.consumer.fetch(0))
    await bench.settled(1)
    assert [batch.next_offset for batch in bench.batches()] == [1]
    assert bench.engine.counts.stale == 2
    await bench.engine.close()


async def test_a_recovery_of_an_older_generation_opens_no_lane():
    bench = Bench()
    await bench.engine.open([0], 2)
    bench.engine.ready(1)
    assert bench.engine.partitions == frozenset()
    assert bench.journal == []
    await bench.engine.close()
    assert bench.journal == [("close", 0)]


async def test_a_record_fetched_before_the_last_seek_is_dropped_and_comes_again():
    bench = Bench()
    await bench.open(0)
    late = bench.consumer.fetch(0)
    bench.consumer.seek(0, 0)
    await bench.submit(*late)
    await bench.submit(*bench.consumer.fetch(0))
    await bench.settled(1)
    assert bench.table.get(0, b"k") == b'{"n":1}'
    assert bench.engine.counts.stale == 1
    await bench.engine.close()


async def test_a_gap_in_the_numbers_fetches_the_missing_record_again():
    bench = Bench()
    await bench.open(0)
    first, _lost, third = bench.consumer.fetch(10, 11, 15)  # offsets may have holes, numbers have none
    await bench.submit(first, third)
    assert bench.consumer.reseeks == [(TP(SOURCE, 0), 11)]
    await bench.submit(*bench.consumer.fetch(11, 15))
    await bench.settled(16)
    assert bench.table.get(0, b"k") == b'{"n":3}'
    assert bench.engine.counts.refetched == 1
    await bench.engine.close()


async def test_a_gap_at_the_very_start_goes_back_to_the_committed_offset():
    bench = Bench()
    await bench.open(0, committed=100)
    _lost, second = bench.consumer.fetch(100, 101)
    await bench.submit(second)
    assert bench.consumer.reseeks == [(TP(SOURCE, 0), 100)]
    await bench.engine.close()


async def test_a_redelivered_record_is_not_processed_twice():
    bench = Bench()
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0, 1))
    bench.consumer.seek(0, 0)
    await bench.submit(*bench.consumer.fetch(0, 1, 2))
    await bench.settled(3)
    assert bench.table.get(0, b"k") == b'{"n":3}'
    assert bench.engine.counts.repeated == 2
    await bench.engine.close()


async def test_a_last_record_that_never_arrives_is_fetched_again(monkeypatch):
    monkeypatch.setattr(engine_module, "ARRIVAL_SECONDS_MAX", 0.02)
    bench = Bench()
    await bench.open(0)
    await bench.submit(*bench.consumer.fetch(0))
    bench.consumer.fetch(1)  # numbered, and lost on the way; no later one shows the gap
    await until(lambda: bench.consumer.reseeks)
    assert bench.consumer.reseeks[0] == (TP(SOURCE, 0), 1)
    await bench.engine.close()


async def test_records_without_a_number_or_for_a_partition_not_held_are_left_alone():
    bench = Bench()
    await bench.open(0)
    await bench.submit(Message(0, None), Message(0, Provenance(1, 0), partition=3))
    assert bench.engine.counts.stale == 2
    await bench.engine.close()
    assert bench.batches() == []


async def test_closing_ends_the_transaction_under_way_and_nothing_after_it():
    bench = Bench()
    await bench.open(0)
    bench.transactor().gate.clear()
    await bench.submit(*bench.consumer.fetch(0))
    await bench.transactor().committing.wait()
    await bench.submit(*bench.consumer.fetch(1, 2))
    closing = asyncio.create_task(bench.engine.close())
    await asyncio.sleep(0)
    bench.transactor().gate.set()
    await asyncio.wait_for(closing, 5)
    assert [batch.next_offset for batch in bench.batches()] == [1]
    assert bench.transactor().is_closed
    await bench.submit(*bench.consumer.fetch(3))
    assert [batch.next_offset for batch in bench.batches()] == [1]


async def test_an_agent_that_waits_for_room_is_let_go_when_the_lane_closes():
    bench = Bench()
    await bench.open(0)
    bench.transactor().gate.clear()
    await bench.submit(*bench.consumer.fetch(0))
    await bench.transactor().committing.wait()
    await bench.submit(*bench.consumer.fetch(*range(1, QUEUE_RECORDS_MAX + 1)))
    waiting = asyncio.create_task(bench.engine.submit(bench.consumer.fetch(QUEUE_RECORDS_MAX + 1)[0]))
    await asyncio.sleep(0)
    assert not waiting.done()
    closing = asyncio.create_task(bench.engine.close())
    await asyncio.wait_for(waiting, 5)
    bench.transactor().gate.set()
    await asyncio.wait_for(closing, 5)
    assert [batch.next_offset for batch in bench.batches()] == [1]


async def test_a_partition_that_cannot_be_opened_opens_none():
    bench = Bench()
    bench.transactions.refused[1] = Unreachable("no broker")
    with pytest.raises(Unreachable):
        await bench.engine.open([0, 1], 1)
    assert bench.transactor(0).is_closed
    bench.engine.ready(1)
    assert bench.engine.partitions == frozenset()
    await bench.engine.close()


async def test_a_listener_that_raises_stops_the_worker_after_the_commit():
    bench = Bench()
    await bench.open(0)

    def broken(*_: object) -> None:
        raise ValueError("a bug in the listener")

    bench.listener.committed = broken
    await bench.submit(*bench.consumer.fetch(0))
    await asyncio.wait_for(bench.failed.wait(), 5)
    assert bench.table.get(0, b"k") == b'{"n":1}'
    await bench.engine.close()
