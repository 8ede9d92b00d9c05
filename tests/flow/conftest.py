"""A simulated Kit for each test, with the sequences that the example catalogue names."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from streams.catalogue_file import load_catalogue
from streams.kit.simulator import KitSimulator
from tests.flow.system import EXAMPLE


class Kit(NamedTuple):
    simulator: KitSimulator
    url: str


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    names = load_catalogue(EXAMPLE).catalogue.sequence_names()
    simulator = KitSimulator(requests_per_minute=100_000, sequences=sorted(names))
    url = await simulator.start()
    yield Kit(simulator, url)
    await simulator.stop()
