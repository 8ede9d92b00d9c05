"""docker-compose.yml held to the program it runs: its settings load, its commands exist, its checks ask /readyz."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from dotenv import dotenv_values

from streams.cli import app
from streams.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
ROLES = ("edge", "worker", "ops")
SECRETS = {
    "MILLRACE_STRIPE_WEBHOOK_SECRETS": "whsec_1",
    "MILLRACE_KIT_API_KEY": "kit_1",
    "MILLRACE_OPS_TOKENS": "token",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def example() -> dict[str, str | None]:
    return dotenv_values(ROOT / ".env.example")


def settings_of(compose: dict[str, Any], example: dict[str, str | None], role: str) -> Settings:
    """As the role would load them, once the secrets are filled in. Raises WrongSettings for a name that is none."""
    given = {name: value or "" for name, value in example.items()} | SECRETS
    return load_settings(given | compose["services"][role]["environment"])


def test_there_are_a_broker_three_roles_and_a_page_for_the_topics(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kafka", *ROLES, "kafka-ui"}
    assert compose["services"]["worker"]["deploy"]["replicas"] == 2
    assert compose["services"]["kafka"]["image"].startswith("apache/kafka:")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_runs_a_command_that_exists(compose: dict[str, Any], role: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group, as several are added
    assert compose["services"][role]["command"] == [role]
    assert role in commands


@pytest.mark.parametrize("role", ROLES)
def test_each_role_loads_its_settings(compose: dict[str, Any], example: dict[str, str | None], role: str) -> None:
    settings = settings_of(compose, example, role)
    assert settings.broker == "kafka://kafka:9092"
    assert settings.partitions >= 2 * compose["services"]["worker"]["deploy"]["replicas"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_the_catalogue_and_keeps_its_data(
    compose: dict[str, Any], example: dict[str, str | None], role: str
) -> None:
    settings = settings_of(compose, example, role)
    mounts = {mount["target"]: mount for mount in compose["services"][role]["volumes"]}
    catalogue = mounts[str(settings.catalogue)]
    assert (catalogue["source"], catalogue["read_only"]) == ("./catalogue.toml", True)
    assert mounts[str(settings.data_dir)]["source"] in compose["volumes"]
    # Files that the catalogue names are found beside it.
    assert str(settings.catalogue.parent / "codes") in mounts


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_healthy_when_it_is_ready(
    compose: dict[str, Any], example: dict[str, str | None], role: str
) -> None:
    settings = settings_of(compose, example, role)
    port = settings.edge_port if role == "edge" else settings.ops_port
    assert f"http://127.0.0.1:{port}/readyz" in " ".join(compose["services"][role]["healthcheck"]["test"])
    assert compose["services"][role]["depends_on"]["kafka"]["condition"] == "service_healthy"
    assert "healthcheck" in compose["services"]["kafka"]


def test_only_loopback_is_published(compose: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert {name for name, ports in published.items() if ports} == {"edge", "ops", "kafka-ui"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_the_log_outlives_the_broker_container(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]
    volume, target = kafka["volumes"][0].split(":")
    assert volume in compose["volumes"]
    assert target == kafka["environment"]["KAFKA_LOG_DIRS"]


def test_images_are_pinned_and_name_no_registry(compose: dict[str, Any]) -> None:
    for name in ("kafka", "kafka-ui"):
        repository, _, tag = compose["services"][name]["image"].partition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
        assert "." not in repository.split("/")[0]


def test_the_example_holds_every_secret_that_is_needed_and_no_value_of_one(example: dict[str, str | None]) -> None:
    assert {name for name, value in example.items() if not value} == set(SECRETS)


def test_the_dockerfile_ships_the_packages_of_the_wheel() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for package in ("streams", "processors", "projections"):
        assert f"COPY {package} {package}" in dockerfile
        assert f"!{package}" in ignored
    assert 'ENTRYPOINT ["millrace"]' in dockerfile
