"""The table as the steps of one batch see it: the states written in the open transaction, else the committed ones.

A committed state is read and decoded once in a batch, however many of its records ask for it: nothing but the batch's
own commit changes the partition meanwhile.
"""

from collections.abc import Callable
from typing import Generic

import msgspec

from processors.record import S
from streams.errors import LogUnusable


class Written(msgspec.Struct, Generic[S], frozen=True):
    """A state that waits for its commit, and its bytes."""

    state: S
    encoded: bytes


class Overlay(Generic[S]):
    """A `processors.record.View`. `read` gives the committed bytes of a key, None where there are none."""

    def __init__(self, read: Callable[[bytes], bytes | None], decode: Callable[[bytes], S]) -> None:
        self._read = read
        self._decode = decode
        self.written: dict[str, Written[S]] = {}
        """The last state given to each key, in the order in which the keys were first written."""
        self._committed: dict[str, S | None] = {}

    def get(self, key: str) -> S | None:
        if (written := self.written.get(key)) is not None:
            return written.state
        if key not in self._committed:
            encoded = self._read(key.encode())
            self._committed[key] = None if encoded is None else decoded_state(self._decode, key, encoded)
        return self._committed[key]


def decoded_state(decode: Callable[[bytes], S], key: str, encoded: bytes) -> S:
    """Raises LogUnusable: a committed state that cannot be read is no fault of the record that asks for it."""
    try:
        return decode(encoded)
    except Exception as error:
        raise LogUnusable(
            f"the state of {key!r} in the table cannot be read ({error}): it was written by a newer Millrace, or by "
            "none. Start the version that wrote it."
        ) from error
