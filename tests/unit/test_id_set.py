"""Packed sets of ids: what is added is found, what is not is not, whatever bytes lie side by side."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import id_set
from processors.id_set import DAY_MS, DAYS_REMEMBERED, RecentIds


@settings(deadline=None)
@given(st.lists(st.text(max_size=20)), st.text(max_size=20))
def test_a_set_holds_what_was_added_and_nothing_else(members: list[str], other: str) -> None:
    packed = b""
    for member in members:
        packed = id_set.added(packed, member)
    assert all(id_set.contains(packed, member) for member in members)
    assert id_set.contains(packed, other) == (other in members)
    assert len(packed) == id_set.ID_BYTES * len(set(members))


def test_adding_twice_changes_nothing() -> None:
    once = id_set.added(b"", "in_1")
    assert id_set.added(once, "in_1") is once


def test_bytes_that_lie_across_two_entries_are_no_member_but_hide_none_behind_them() -> None:
    hashed = id_set.added(b"", "in_1")
    across = b"xxx" + hashed + b"yyyy"
    assert not id_set.contains(across, "in_1")
    assert id_set.contains(across + hashed, "in_1")


def test_an_event_id_is_remembered_for_35_days_of_log_time_and_then_forgotten() -> None:
    recent = RecentIds().added("evt_1", 1_000 * DAY_MS)
    assert recent.contains("evt_1", (1_000 + DAYS_REMEMBERED) * DAY_MS)
    assert not recent.contains("evt_1", (1_001 + DAYS_REMEMBERED) * DAY_MS)
    assert not recent.contains("evt_1", (1_000 + id_set.DAY_NUMBERS) * DAY_MS)


def test_old_ids_leave_when_new_ones_come() -> None:
    recent = RecentIds()
    for day in range(1_000, 1_400):
        recent = recent.added(f"evt_{day}", day * DAY_MS)
    remembered = [day for day in range(1_000, 1_400) if recent.contains(f"evt_{day}", 1_399 * DAY_MS)]
    assert remembered == list(range(1_399 - DAYS_REMEMBERED, 1_400))
    assert len(recent.packed) == id_set.ID_BYTES * (DAYS_REMEMBERED + 1)


def test_an_event_id_costs_less_than_ten_bytes_of_json() -> None:
    recent = RecentIds()
    for number in range(100):
        recent = recent.added(f"evt_{number}", (1_000 + number // 10) * DAY_MS)
    assert len(msgspec.json.encode(recent)) < 100 * 10
    assert msgspec.json.decode(msgspec.json.encode(recent), type=RecentIds) == recent
