"""The stores beneath the tables, and each worker's own part of the data directory."""

from pathlib import Path

import faust
import pytest
from faust.types import TP

from streams.data_dir import claim_part
from streams.errors import LogUnusable
from streams.transactions.offset_guard import refuse_beyond_end, refuse_forgotten
from streams.transactions.table_store import MemoryStore, RocksStore, TableStore, table_store


@pytest.fixture(params=["memory", "rocksdb"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> faust.Table:
    app = faust.App("millrace", store=f"{request.param}://", datadir=tmp_path, autodiscover=False)
    app.conf.tabledir.mkdir(parents=True)
    return app.Table("customers", key_type=bytes, value_type=bytes, partitions=4)


@pytest.fixture
def store(table: faust.Table) -> TableStore:
    return table_store(table.data)


def test_what_is_written_is_read_partition_by_partition(store: TableStore):
    store.write(0, [(b"a", b"1"), (b"b", b"2")], 10)
    store.write(1, [(b"c", b"3")], 11)
    store.write(0, [(b"a", b"4")], 12)
    assert store.get(0, b"a") == b"4"
    assert store.get(1, b"nothing") is None
    found = store.items([0, 1, 2])
    assert {partition: dict(items) for partition, items in found.items()} == {
        0: {b"a": b"4", b"b": b"2"},
        1: {b"c": b"3"},
        2: {},
    }


def test_a_durable_store_remembers_the_changelogs_offset_with_the_states(table: faust.Table):
    store = table_store(table.data)
    store.write(2, [(b"a", b"1")], 99)
    is_durable = isinstance(store, RocksStore)
    assert is_durable or isinstance(store, MemoryStore)
    assert table.persisted_offset(TP("changelog", 2)) == (99 if is_durable else None)


def test_processes_that_share_a_data_directory_keep_to_their_own_parts(tmp_path: Path):
    first, second = claim_part(tmp_path, "worker"), claim_part(tmp_path, "worker")
    assert (first.path.name, second.path.name) == ("worker-0", "worker-1")
    first.lock.close()  # as the end of the process does
    again = claim_part(tmp_path, "worker")
    assert again.path == first.path
    for part in (second, again):
        part.lock.close()


def test_an_offset_beyond_the_end_of_its_topic_is_refused():
    refuse_beyond_end(TP("customer.events", 0), None, 0)
    refuse_beyond_end(TP("customer.events", 0), 5, 5)
    with pytest.raises(LogUnusable, match=r"customer\.events, partition 0, ends at offset 4"):
        refuse_beyond_end(TP("customer.events", 0), 5, 4)


def test_states_without_an_offset_are_refused():
    refuse_forgotten(TP("customer.events", 0), None, has_states=False)
    refuse_forgotten(TP("customer.events", 0), 0, has_states=True)
    with pytest.raises(LogUnusable, match="no longer known"):
        refuse_forgotten(TP("customer.events", 0), None, has_states=True)
