"""Settings: what is refused is refused with its name and the remedy, all of it at once."""

from pathlib import Path

import pytest

from streams.errors import WrongSettings
from streams.settings import Settings, load_settings, require, variable


def test_the_defaults_are_those_of_the_embedded_log():
    settings = load_settings({})
    assert settings.embedded
    assert (settings.partitions, settings.edge_port, settings.ops_port) == (8, 8080, 6066)


def test_every_fault_is_named_at_once():
    with pytest.raises(WrongSettings) as caught:
        load_settings({"MILLRACE_EDGE_PORT": "x", "MILLRACE_FOO": "1", "MILLRACE_BROKER": "redis://x"})
    text = str(caught.value)
    assert "MILLRACE_FOO: there is no such setting" in text
    assert "MILLRACE_EDGE_PORT=x" in text
    assert "MILLRACE_BROKER=redis://x" in text
    assert "kafka://host:port" in text


def test_names_for_tests_and_other_programs_are_left_alone():
    assert load_settings({"MILLRACE_TEST_KAFKA": "required", "HOME": "/"}) == load_settings({})


def test_the_environment_goes_before_the_env_file(tmp_path: Path):
    file = tmp_path / "settings.env"
    file.write_text("MILLRACE_EDGE_PORT=1000\nMILLRACE_OPS_PORT=1001\nOTHER=1\n")
    settings = load_settings({"MILLRACE_EDGE_PORT": "2000"}, env_file=file)
    assert (settings.edge_port, settings.ops_port) == (2000, 1001)


def test_a_missing_env_file_is_named(tmp_path: Path):
    with pytest.raises(WrongSettings, match="no such file"):
        load_settings({}, env_file=tmp_path / "none.env")


def test_a_secret_may_stand_in_a_file(tmp_path: Path):
    (tmp_path / "key").write_text("kit_secret\n")
    assert load_settings({"MILLRACE_KIT_API_KEY_FILE": str(tmp_path / "key")}).kit_api_key == "kit_secret"
    with pytest.raises(WrongSettings, match="MILLRACE_KIT_API_KEY_FILE: cannot read"):
        load_settings({"MILLRACE_KIT_API_KEY_FILE": str(tmp_path / "none")})


def test_lists_are_comma_separated():
    assert load_settings({"MILLRACE_STRIPE_WEBHOOK_SECRETS": "whsec_a, whsec_b,"}).stripe_webhook_secrets == (
        "whsec_a",
        "whsec_b",
    )


def test_an_open_ops_port_needs_a_token():
    with pytest.raises(WrongSettings, match="MILLRACE_OPS_TOKENS"):
        load_settings({"MILLRACE_OPS_HOST": "0.0.0.0"})
    load_settings({"MILLRACE_OPS_HOST": "0.0.0.0", "MILLRACE_OPS_TOKENS": "t"})


@pytest.mark.parametrize("name", ["MILLRACE_KIT_OAUTH_CLIENT_ID", "MILLRACE_ENCRYPTION_KEY_FILE"])
def test_what_this_version_cannot_do_yet_is_refused_not_ignored(name: str, tmp_path: Path):
    with pytest.raises(WrongSettings, match="not supported by this version"):
        load_settings({name: str(tmp_path)})


def test_what_a_role_needs_is_named_with_its_meaning():
    with pytest.raises(WrongSettings, match="MILLRACE_KIT_API_KEY is required here: v4 key"):
        require(load_settings({}), "kit_api_key", "broker")


def test_no_secret_is_shown():
    settings = load_settings({"MILLRACE_KIT_API_KEY": "kit_hidden", "MILLRACE_STRIPE_WEBHOOK_SECRETS": "whsec_hidden"})
    assert "hidden" not in repr(settings)


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())
    assert variable("edge_port") == "MILLRACE_EDGE_PORT"
