"""How this machine's settings are turned into what a build step reads."""

from pathlib import Path

import pytest

from tools.image import settings


def test_pip_settings_become_a_pip_conf_and_variables_win() -> None:
    listed = "global.index-url='https://one.example/simple'\nglobal.find-links='/here'\n:env:.index-url='https://two.example'\n"
    assert settings.pip_conf(listed) == "[global]\nindex-url = https://two.example"


def test_a_pip_setting_of_several_lines_stays_one_setting() -> None:
    listed = r"global.trusted-host='one.example\ntwo.example'"
    assert settings.pip_conf(listed) == "[global]\ntrusted-host = one.example\n    two.example"


def test_pip_without_settings_needs_no_file() -> None:
    assert settings.pip_conf(":env:.cert='/etc/ssl/ca.crt'\n") == ""


def test_go_settings_without_a_value_are_left_out() -> None:
    assert settings.go_env('{"GOPROXY": "https://proxy.example", "GOPRIVATE": ""}') == "GOPROXY=https://proxy.example"
    assert settings.go_env("") == ""


def test_of_apt_only_the_way_to_fetch_is_taken() -> None:
    dump = 'APT::Architecture "amd64";\nAcquire::Check-Date "false";\nAcquire::http "";\nAcquire::http::Proxy "http://p:3128";\n'
    assert settings.apt_options(dump) == ['Acquire::Check-Date "false";', 'Acquire::http::Proxy "http://p:3128";']


def test_secrets_are_files_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_output", lambda *command: 'Acquire::Retries "3";\n' if "dump" in command else "")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    assert settings.secrets(tmp_path) == [f"--secret=id=apt,src={tmp_path / 'apt'}"]
