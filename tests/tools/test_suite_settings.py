"""What the product suite is told about a cluster."""

from pathlib import Path

import pytest

from tools.suite import Suite, SuiteError


def test_what_is_written_into_the_environment_is_read_from_it(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    suite = Suite(kubeconfig, "localhost/x:dev", "here", "there")
    assert Suite.read(suite.environment()) == suite


def test_a_kubeconfig_alone_is_refused_with_all_that_is_missing_and_who_sets_it(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as refused:
        Suite.read({"KUBECONFIG": str(tmp_path), "WG_TEST_INTERNET": ""})
    for word in ("WG_TEST_IMAGE", "WG_TEST_SUBSCRIBER", "WG_TEST_INTERNET", "make node", "make kind-e2e"):
        assert word in str(refused.value)
    assert "  KUBECONFIG" not in str(refused.value)


@pytest.mark.parametrize("value", ["/nowhere/kubeconfig", "/etc/hosts:/etc/hostname", "/"])
def test_a_kubeconfig_that_is_not_one_file_is_refused_by_its_name(value: str) -> None:
    environment = Suite(Path(value), "localhost/x:dev", "here", "there").environment()
    with pytest.raises(SuiteError, match="one file that is there") as refused:
        Suite.read(environment)
    assert repr(value) in str(refused.value)
