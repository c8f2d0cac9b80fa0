"""Suites that every implementation of a protocol passes, each where it can run."""

import pytest

# Before they are imported, or a failed assertion would show no values.
pytest.register_assert_rewrite("tests.conformance.device_suite")
