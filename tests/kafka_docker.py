"""One Kafka broker in a container, through testcontainers: the first choice where a Docker engine answers."""

import asyncio
import contextlib
import gc
import random
import time
import warnings

import docker
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from tests.kafka_jars import KAFKA_VERSION, NoKafka
from tests.kafka_process import ONE_NODE, PORTS, START_SECONDS_MAX

POLL_SECONDS = 0.2
ENGINE_SECONDS_MAX = 5
"""A local engine answers within milliseconds; a remote one that takes longer is no help to tests."""


class DockerBroker:
    """The same promises as kafka_process.JarBroker: ports and data stay from the first `start` to `close`."""

    def __init__(self) -> None:
        """Raises NoKafka where no engine answers."""
        fault = _engine_fault()
        if fault is not None:
            raise NoKafka(f"no Docker engine answers ({fault})")
        self._port = random.choice(PORTS)
        self._container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, self._port)
        for name, value in self._configuration().items():
            self._container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)
        self._started = False

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        try:
            if self._started:
                self._container.get_wrapped_container().start()
            else:
                self._container.start()
                self._started = True
        except DockerException as error:
            raise NoKafka(f"Docker could not start apache/kafka:{KAFKA_VERSION} ({error})") from error
        asyncio.run(self._wait_for_answer())

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def close(self) -> None:
        self._container.stop()

    async def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not await self._answers():
            if time.monotonic() > deadline:
                raise NoKafka(f"Kafka in Docker does not answer at {self.bootstrap} within {START_SECONDS_MAX} s")
            await asyncio.sleep(POLL_SECONDS)

    async def _answers(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2_000)
        try:
            await admin.start()
        except KafkaError:
            return False
        finally:
            await admin.close()
        return True

    def _configuration(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            **ONE_NODE,
        }


def _engine_fault() -> str | None:
    """Why no Docker engine answers, None where one does."""
    with warnings.catch_warnings():
        # Docker's client leaves its socket open when it cannot connect: collected here, it fails no test.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(docker.from_env(timeout=ENGINE_SECONDS_MAX)) as engine:
                engine.ping()
        except DockerException as error:
            fault = str(error)
        else:
            return None
        gc.collect()
    return fault
