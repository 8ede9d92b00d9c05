"""What an agent is: one source topic, one table, one pure step (docs/design.md §1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from processors.record import S, Step, Topic


@dataclass(frozen=True, slots=True)
class Agent(Generic[S]):
    """`name` and `table` name what is kept outside (group members, changelog): changing one loses its state.

    `help` is printed for operators by `faust agents` and `faust tables`.
    """

    name: str
    source: Topic
    table: str
    decode: Callable[[bytes], S]
    encode: Callable[[S], bytes]
    step: Step[S]
    help: str = ""
