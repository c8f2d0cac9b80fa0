"""Chromium, and a provider with controller, host, subscriber and gateway for each module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from site_of_provider import Site, Windows

from tools.controlplane import ControlPlane, shared_control_plane
from tools.lab import Lab
from tools.lab.gateway import Gateway

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), "/usr/bin/chromium")
"""The distribution's, or Chrome; Playwright's own is another download and another thing to trust."""
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A real API server."""
    with shared_control_plane("pytest") as plane:
        yield plane


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser; each window has a profile of its own."""
    with sync_playwright() as playwright:
        # The sandbox needs what a container does not give to root, and nothing but our own pages is opened.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(plane: ControlPlane) -> Iterator[Site]:
    """A provider at work."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(plane))
        lab.apply_samples()
        lab.start_controller()
        lab.join_host()
        gateway = Gateway(plane, lab.directory, lab.tenants, "--anonymous-rate", "100", "--anonymous-burst", "100")
        stack.callback(gateway.end)
        gateway.start()
        lab.wait_ready("wgs", "berlin")
        lab.wait_ready("wgp", "alice")
        site = Site(lab, gateway)
        stack.callback(site.close)
        yield site


@pytest.fixture
def windows(browser: Browser, site: Site) -> Iterator[Windows]:
    """Windows, which are checked at the end of the test."""
    windows = Windows(browser, site)
    yield windows
    windows.close()
