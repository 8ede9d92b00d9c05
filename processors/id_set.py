"""Sets of ids as packed bytes, small enough to live in a state for good: seven bytes an id, searched at C speed.

`contains` and `added` keep a set for ever (ledgers of commands, moments that happened); `RecentIds` forgets after some
days of log time (event ids). Both hold hashes: an id that was never added is taken for a member with a probability of
`members / 2**56` (`RecentIds`: `members / 2**48`), about one in 10**12 for a hundred members.
"""

from hashlib import blake2b

import msgspec

ID_BYTES = 7
HASH_BYTES_RECENT = 6
"""In RecentIds the seventh byte is the day: 9.4 characters of JSON an id all told (base64 makes four of three)."""

DAY_MS = 24 * 3600 * 1000
DAY_NUMBERS = 256
DAYS_REMEMBERED = 35
"""Stripe lists events for 30 days and redelivers for 3; ages stay far below DAY_NUMBERS, so that a byte tells them."""


def contains(packed: bytes, member: str) -> bool:
    return _holds(packed, _hash(member, ID_BYTES))


def added(packed: bytes, member: str) -> bytes:
    """The set with the id in it; the very same bytes where it already was."""
    hashed = _hash(member, ID_BYTES)
    return packed if _holds(packed, hashed) else packed + hashed


class RecentIds(msgspec.Struct, frozen=True, array_like=True):
    """Ids seen in the last DAYS_REMEMBERED days of log time, the oldest first.

    `day` is the log time's day (since the epoch) of the latest addition. Each entry is a hash and the day it was added
    on, modulo DAY_NUMBERS; none is older than DAYS_REMEMBERED at `day`.
    """

    day: int = 0
    packed: bytes = b""

    def contains(self, member: str, now_ms: int) -> bool:
        return _holds(self._at(now_ms // DAY_MS), _hash(member, HASH_BYTES_RECENT))

    def added(self, member: str, now_ms: int) -> "RecentIds":
        """With this id, which must not be in it yet, and without those too old; `now_ms` never goes back."""
        day = now_ms // DAY_MS
        entry = _hash(member, HASH_BYTES_RECENT) + bytes((day % DAY_NUMBERS,))
        return RecentIds(day, self._at(day) + entry)

    def _at(self, day: int) -> bytes:
        """What is still remembered on that day."""
        passed = day - self.day
        if passed <= 0:
            return self.packed
        if passed > DAYS_REMEMBERED:
            return b""
        start = 0
        while start < len(self.packed) and self._age(start) + passed > DAYS_REMEMBERED:
            start += ID_BYTES
        return self.packed[start:]

    def _age(self, start: int) -> int:
        """In days at `self.day`, of the entry that starts there."""
        return (self.day - self.packed[start + HASH_BYTES_RECENT]) % DAY_NUMBERS


def _hash(member: str, size: int) -> bytes:
    return blake2b(member.encode(), digest_size=size).digest()


def _holds(packed: bytes, hashed: bytes) -> bool:
    """Whether an entry starts with these bytes: a hit across two entries is no member, the search goes on behind it."""
    at = packed.find(hashed)
    while at > 0 and at % ID_BYTES:
        at = packed.find(hashed, at + 1)
    return at >= 0
