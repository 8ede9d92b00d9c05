"""What a run says of parts that this machine lacks: never silent, never counted as passed."""

import pytest

from tests.broker import without_kafka
from tests.parts import skip_without, summary_of_missing


def reason_of_skip(part: str, remedy: str) -> str:
    with pytest.raises(pytest.skip.Exception) as skipped:
        skip_without(part, remedy)
    return f"Skipped: {skipped.value}"


def test_each_missing_part_is_named_once_with_its_count_and_its_remedy() -> None:
    reasons = [reason_of_skip("Kafka", "start Docker"), reason_of_skip("Go", "install Go")]
    assert summary_of_missing([*reasons, reasons[0], "Skipped: only on Linux"]) == [
        "Go is missing: 1 skipped; install Go",
        "Kafka is missing: 2 skipped; start Docker",
    ]


def test_nothing_missing_is_nothing_said() -> None:
    assert summary_of_missing(["Skipped: only on Linux"]) == []


def test_without_kafka_a_test_is_skipped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_TEST_KAFKA", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"missing part: Kafka; start Docker.*\(no Docker engine answers\)"):
        without_kafka(["no Docker engine answers"])


def test_without_kafka_where_it_is_required_a_test_fails_with_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_TEST_KAFKA", "required")
    with pytest.raises(pytest.fail.Exception, match="no Docker engine answers, no Java"):
        without_kafka(["no Docker engine answers", "no Java"])
