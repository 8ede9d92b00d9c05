"""What every test can ask for, and what a run says at its end."""

import signal
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from tests.broker import kafka_bootstrap, kafka_broker, kafka_jars, log_settings, log_url, topic_prefix
from tests.parts import summary_of_missing

__all__ = ["kafka_bootstrap", "kafka_broker", "kafka_jars", "log_settings", "log_url", "topic_prefix"]


# A shared machine may stand still for seconds: that says nothing of the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--simulate-seconds",
        type=float,
        default=0,
        help="how long the crash runs of tests/acceptance go on; 0: their short form",
    )


@pytest.fixture(scope="session")
def simulate_seconds(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--simulate-seconds"))


def pytest_configure() -> None:
    """SIGTERM ends a run as Ctrl-C does: fixtures are torn down, and nothing they started stays."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    missing = summary_of_missing(reasons)
    if missing:
        terminalreporter.section("parts missing on this machine", sep="!", red=True)
        for line in missing:
            terminalreporter.line(line)
