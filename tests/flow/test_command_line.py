"""The command as people and their scripts use it: whole processes, exit codes, what is said where."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from streams.cli import main
from tests.flow.system import EXAMPLE

PROGRAM = str(Path(sys.executable).parent / "millrace")
COMMAND_SECONDS_MAX = 60
DRAIN_SECONDS_MAX = 10


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    shutil.copy(EXAMPLE, tmp_path / "catalogue.toml")
    shutil.copytree(EXAMPLE.parent / "codes", tmp_path / "codes")
    others = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    return others | {
        "MILLRACE_BROKER": f"sqlite:///{tmp_path / 'log.db'}",
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
        "MILLRACE_CATALOGUE": str(tmp_path / "catalogue.toml"),
        "MILLRACE_STRIPE_WEBHOOK_SECRETS": "whsec_cli",
        "MILLRACE_STRIPE_LIVEMODE": "false",
        "MILLRACE_KIT_API_KEY": "kit_cli",
        "MILLRACE_KIT_API_BASE": f"http://127.0.0.1:{free_port()}",  # nothing listens: no test may reach Kit
        "MILLRACE_EDGE_PORT": str(free_port()),
        "MILLRACE_OPS_PORT": str(free_port()),
    }


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Millrace = Callable[..., Done]


@pytest.fixture
def millrace(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Millrace]:
    """`millrace ARGUMENTS` in this process, which saves a second for each; `changes` go into the environment."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, **changes: str | None) -> Done:
        with monkeypatch.context() as patched:
            for name, value in (environment | changes).items():
                if value is None:
                    patched.delenv(name, raising=False)
                else:
                    patched.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    yield run
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def up(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """`millrace up`, ready; whoever has not ended it by then has it ended."""
    process = subprocess.Popen([PROGRAM, "up"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_ready(environment, process)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_ready(environment: Mapping[str, str], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + COMMAND_SECONDS_MAX
    url = f"http://127.0.0.1:{environment['MILLRACE_OPS_PORT']}/readyz"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"not ready: exit code {process.poll()}")


def test_check_lists_what_is_not_acted_on_yet(millrace: Millrace):
    done = millrace("check", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert any(note["key"].startswith("milestone") for note in document["notes"])
    assert millrace("check").stdout.count("\n") == len(document["notes"])


def test_a_wrong_catalogue_is_refused_with_line_and_key_and_all_faults(environment: dict[str, str], millrace: Millrace):
    file = Path(environment["MILLRACE_CATALOGUE"])
    file.write_text('[acount]\ntimezone = "Mars/Base"\n[[offer]]\nname = "x"\nprices = 3\n')
    done = millrace("check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"{file}:1: acount" in done.stderr
    assert f"{file}:5: " in done.stderr
    started = millrace("up")
    assert (started.returncode, "acount" in started.stderr) == (2, True)


def test_the_schema_is_one_json_document(millrace: Millrace):
    assert json.loads(millrace("schema").stdout)["type"] == "object"


def test_wrong_settings_stop_the_start_with_the_name_and_the_remedy(millrace: Millrace):
    done = millrace("up", MILLRACE_EGDE_PORT="1")
    assert done.returncode == 2
    assert "MILLRACE_EGDE_PORT: there is no such setting" in done.stderr
    assert "MILLRACE_KIT_API_KEY is required here" in millrace("up", MILLRACE_KIT_API_KEY=None).stderr


def test_an_ops_port_that_is_taken_is_a_wrong_setting(environment: dict[str, str]):
    port = environment["MILLRACE_OPS_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        done = subprocess.run(
            [PROGRAM, "up"], env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX
        )
    assert (done.returncode, f"MILLRACE_OPS_PORT={port}" in done.stderr) == (2, True)


@pytest.mark.parametrize("role", ["edge", "worker", "ops"])
def test_a_single_role_needs_a_broker(millrace: Millrace, role: str):
    done = millrace(role)
    assert done.returncode == 2
    assert "MILLRACE_BROKER" in done.stderr


def test_where_nothing_runs_the_exit_code_says_so(millrace: Millrace):
    done = millrace("status", "--json", MILLRACE_BROKER=f"kafka://127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "MILLRACE_OPS_HOST" in done.stderr


def test_up_drains_on_sigterm_and_its_log_tells_the_status_afterwards(millrace: Millrace, up: "subprocess.Popen[str]"):
    running = millrace("status", "--json", "--wait-idle", "30")
    assert running.returncode == 0, running.stderr
    started = time.monotonic()
    up.send_signal(signal.SIGTERM)
    _, said = up.communicate(timeout=DRAIN_SECONDS_MAX)
    assert up.returncode == 0, said
    assert time.monotonic() - started < DRAIN_SECONDS_MAX
    after = millrace("status", "--json")
    assert after.returncode == 0, after.stderr
    assert json.loads(after.stdout) == json.loads(running.stdout)


def test_an_embedded_log_has_one_owner_and_the_second_is_told_its_pid(millrace: Millrace, up: "subprocess.Popen[str]"):
    done = millrace("up", MILLRACE_EDGE_PORT="0", MILLRACE_OPS_PORT="0")
    assert done.returncode == 3
    assert str(up.pid) in done.stderr


def test_apply_goes_to_the_running_system(environment: dict[str, str], millrace: Millrace, up: "subprocess.Popen[str]"):
    assert up.poll() is None
    assert "is the applied one already" in millrace("apply").stderr
    file = Path(environment["MILLRACE_CATALOGUE"])
    file.write_text(file.read_text().replace('tags = ["customer"]', 'tags = ["buyer"]'))
    done = millrace("apply", "--json")
    assert json.loads(done.stdout)["applied"] is True


def test_a_sample_history_goes_in_by_the_command_line(millrace: Millrace, up: "subprocess.Popen[str]"):
    assert up.poll() is None
    done = millrace("send-sample", "--customers", "3", "--duplicate", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] > 0


def test_trying_it_out_once_prints_what_kit_holds_and_ends():
    done = subprocess.run(
        [PROGRAM, "try", "--once", "--customers", "4"],
        cwd=EXAMPLE.parent,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "What Kit now holds" in done.stdout
    assert "dashboard, so far the status: http://" in done.stderr
