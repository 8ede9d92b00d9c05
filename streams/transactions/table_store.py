"""The table's committed states, partition by partition, in whichever of Faust's stores holds them.

Lanes read through `get`, write through `write` (only what is committed), and list a partition through `items` when it
opens. Faust's own way in writes only inside stream iteration and sends a changelog record for each write, so this goes
to the stores beneath it; recovery fills the same stores.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

import rocksdict

Items = Iterable[tuple[bytes, bytes]]


class TableStore(Protocol):
    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def items(self, partitions: Collection[int]) -> Mapping[int, Items]:
        """The keys and values of each of these partitions, to be read before the next write."""

    def write(self, partition: int, items: Items, changelog_offset: int | None) -> None:
        """`changelog_offset` is that of the last of these items: a durable store recovers from there."""


def table_store(data: Any) -> TableStore:
    """`data` is a Faust table's `data`: its memory or its RocksDB store."""
    return RocksStore(data) if hasattr(data, "rocksdb_options") else MemoryStore(data)


class MemoryStore:
    def __init__(self, data: Any) -> None:
        self._values: dict[bytes, bytes] = data.data
        self._partitions: dict[bytes, int] = data._key_partition  # noqa: SLF001 - Faust drops by it what is revoked

    def get(self, partition: int, key: bytes) -> bytes | None:  # noqa: ARG002 - keys never collide between partitions
        return self._values.get(key)

    def items(self, partitions: Collection[int]) -> Mapping[int, Items]:
        # All partitions share one dict: one pass for all that open, not one for each.
        keys: dict[int, list[bytes]] = {partition: [] for partition in partitions}
        for key, partition in self._partitions.items():
            if partition in keys:
                keys[partition].append(key)
        return {partition: self._pairs(found) for partition, found in keys.items()}

    def _pairs(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        return ((key, self._values[key]) for key in keys if key in self._values)

    def write(self, partition: int, items: Items, changelog_offset: int | None) -> None:  # noqa: ARG002 - not durable
        for key, value in items:
            self._values[key] = value
            self._partitions[key] = partition


class RocksStore:
    """One database per partition. It is asked for anew each time: a handle kept would keep the file locked after the
    partition has gone.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def get(self, partition: int, key: bytes) -> bytes | None:
        value: bytes | None = self._database(partition).get(key)
        return value

    def items(self, partitions: Collection[int]) -> Mapping[int, Items]:
        return {partition: self._data._visible_items(self._database(partition)) for partition in partitions}  # noqa: SLF001 - without Faust's own entry

    def write(self, partition: int, items: Items, changelog_offset: int | None) -> None:
        # States and offset in one atomic write: recovery never starts behind a state it has not seen.
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in items:
            batch.put(key, value)
        if changelog_offset is not None:
            batch.put(self._data.offset_key, str(changelog_offset).encode())
        self._database(partition).write(batch)

    def _database(self, partition: int) -> Any:
        return self._data._db_for_partition(partition)  # noqa: SLF001 - Faust's way in needs a current event
