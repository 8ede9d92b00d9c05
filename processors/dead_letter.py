"""What cannot be read, kept whole: the dead letter that a step makes of a record. Called by the steps of both agents.

(What the edge refuses is in no topic yet, and what makes a step raise is our bug: streams/ makes those letters.)
"""

from processors.messages import DeadLetter
from processors.record import Output, Record, Topic


def dead_letter(record: Record, reason: str) -> Output:
    """`reason` is a sentence for people. Letters are keyed by the topic that they come from."""
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        raw=record.value,
        reason=reason,
        source=record.source,
        received_ms=record.received_ms,
    )
    return Output(Topic.DEAD_LETTERS, record.topic, letter)
