"""One Kafka broker as a child process: a KRaft node from the jars, on free ports, with its own data.

The broker that answers is the one started here: readiness is read from its own log, and a port taken by another ends
it. tests/guard.py keeps it, so that it never outlives the test run. tests/broker.py makes fixtures of it.
"""

import base64
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.guard import ENDED
from tests.kafka_jars import KAFKA_VERSION, Distribution

START_SECONDS_MAX = 60
"""4 s on an idle machine."""
STOP_SECONDS_MAX = 30
POLL_SECONDS = 0.05
PORTS = range(20_000, 32_000)
"""Below the ephemeral range, so that no outgoing connection takes the port of a broker that is stopped for a while."""
STARTED = "Kafka Server started"
ONE_NODE = {
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Fewer files to open at the start: 50 of each is for clusters.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    # Tests take partitions over within seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
}
QUIET = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says STARTED
)


class DidNotStart(Exception):  # noqa: N818 - says what is wrong, as the project's own errors do
    """Everything needed is here, and yet no broker came up; the message has the end of its log."""


class JarBroker:
    """One broker, its ports and its data, from the first `start` to `close`; `stop` and `start` keep both. All block.

    `listeners`: name → security protocol; `ports` has their ports after the first start. `properties` are added to
    server.properties, `format_arguments` to the formatting of its storage (SCRAM users).
    """

    def __init__(
        self,
        kafka: Distribution,
        *,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
    ) -> None:
        self.ports: dict[str, int] = {}
        self._kafka = kafka
        self._listeners = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self._properties = properties or {}
        self._format_arguments = format_arguments
        self._scratch = Path(tempfile.mkdtemp(prefix="millrace-kafka-"))
        self._log = self._scratch / "kafka.log"
        self._guard: subprocess.Popen[str] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['PLAINTEXT']}"

    def start(self) -> None:
        """Returns when the broker is up. Raises DidNotStart."""
        if self._guard is None:
            self._format()
            self._guard = self._start_guard()
        read_from = self._log.stat().st_size
        self._tell("start")
        if not self._wait_for_log(STARTED, read_from, START_SECONDS_MAX):
            log = self._log.read_text(encoding="utf-8", errors="replace")[-4000:]
            raise DidNotStart(f"Kafka {KAFKA_VERSION} did not start:\n{log}")

    def stop(self) -> None:
        """Returns when the broker is down; ports and data stay."""
        read_from = self._log.stat().st_size
        self._tell("stop")
        if not self._wait_for_log(ENDED, read_from, STOP_SECONDS_MAX):
            raise TimeoutError(f"Kafka did not stop within {STOP_SECONDS_MAX} s")

    def close(self) -> None:
        """Ends the broker at once and removes what it wrote."""
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(STOP_SECONDS_MAX)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _format(self) -> None:
        self.ports = _free_ports([*self._listeners, "CONTROLLER"])
        configuration = self._scratch / "server.properties"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration), *self._format_arguments]
        done = subprocess.run(self._java(*tool), capture_output=True, text=True, check=False, timeout=START_SECONDS_MAX)
        if done.returncode:
            raise DidNotStart(f"formatting Kafka's storage failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _configuration(self) -> dict[str, str]:
        listeners = ",".join(f"{name}://127.0.0.1:{self.ports[name]}" for name in self._listeners)
        protocols = {"CONTROLLER": "PLAINTEXT", **self._listeners}
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.ports['CONTROLLER']}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._scratch / "data"),
            **ONE_NODE,
            **self._properties,
        }

    def _java(self, *arguments: str) -> list[str]:
        # The first tier of the compiler only: a broker of tests starts often and lives for seconds.
        options = ("-Xmx384m", "-XX:TieredStopAtLevel=1", *QUIET)
        return [self._kafka.java, *options, "-cp", self._kafka.class_path, *arguments]

    def _start_guard(self) -> subprocess.Popen[str]:
        command = self._java("kafka.Kafka", str(self._scratch / "server.properties"))
        guard = [sys.executable, str(Path(__file__).with_name("guard.py")), str(self._scratch), *command]
        with self._log.open("a") as log:
            # A session of its own: Ctrl-C in the terminal reaches the test run, which ends the broker in its own time.
            return subprocess.Popen(
                guard, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, start_new_session=True
            )

    def _tell(self, word: str) -> None:
        assert self._guard is not None, "start() comes first"
        assert self._guard.stdin is not None
        self._guard.stdin.write(word + "\n")
        self._guard.stdin.flush()

    def _wait_for_log(self, words: str, read_from: int, seconds_max: float) -> bool:
        """Whether the broker's log says `words` from there on, before it says that it ended."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            said = self._log.read_bytes()[read_from:].decode(errors="replace")
            if words in said or ENDED in said:
                return words in said
            time.sleep(POLL_SECONDS)
        return False


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    free: list[int] = []
    for port in random.sample(PORTS, k=len(PORTS)):
        if len(free) == len(names):
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free.append(port)
    return dict(zip(names, free, strict=True))
