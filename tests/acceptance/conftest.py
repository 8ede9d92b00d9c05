"""A simulated Kit in the test's own process: it outlives every kill of Millrace, and its journal tells the truth."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import pytest

from streams.catalogue_file import load_catalogue
from streams.kit.simulator import Fault, FaultKind, KitSimulator
from tests.acceptance.fleet import new_seed
from tests.flow.system import EXAMPLE

ANSWER_SECONDS = 0.05
"""What Kit takes for an answer at least (facts: 0.1 to 0.5), so that kills find requests under way."""


pytest.register_assert_rewrite("tests.acceptance.evidence")  # so that a failure shows what differs

SHARES = {
    "test_crashes": 0.25,  # for each of the two logs
    "test_transactions_crash": 0.1,
    "test_transactions_members": 0.1,
    "test_embedded_crash": 0.1,
}
"""Of the seconds of a long run."""
OTHERS = 0.1
"""They ask only whether it is a long run: its length is their own."""


class Kit(NamedTuple):
    simulator: KitSimulator
    url: str


NewKit = Callable[[], AbstractAsyncContextManager[Kit]]


@pytest.fixture
def simulate_seconds(simulate_seconds: float, request: pytest.FixtureRequest) -> float:
    """A test's share of --simulate-seconds; above 0 wherever that is."""
    return simulate_seconds * SHARES.get(request.path.stem, OTHERS)


@pytest.fixture
async def kit(new_kit: NewKit) -> AsyncIterator[Kit]:
    async with new_kit() as started:
        started.simulator.faults.add(Fault(kind=FaultKind.SLOW, seconds=ANSWER_SECONDS))
        yield started


@pytest.fixture
def new_kit() -> NewKit:
    """Makes one that has the sequences of the example catalogue, and nothing else."""
    return _started


@asynccontextmanager
async def _started() -> AsyncIterator[Kit]:
    names = load_catalogue(EXAMPLE).catalogue.sequence_names()
    simulator = KitSimulator(requests_per_minute=1_000_000, sequences=sorted(names))
    url = await simulator.start()
    try:
        yield Kit(simulator, url)
    finally:
        await simulator.stop()


@pytest.fixture
def seed() -> int:
    """Of everything that a run leaves to chance; MILLRACE_TEST_SEED repeats one."""
    chosen = new_seed()
    print(f"seed {chosen}: repeat it with MILLRACE_TEST_SEED={chosen}")  # noqa: T201 - shown when the test fails
    return chosen
