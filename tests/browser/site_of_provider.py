"""A provider with its gateway as people see it: links, pages, and whether a page kept to what it may do."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from tools.lab import Lab, wait_for
from tools.lab.gateway import Gateway

PHONE, SMALL_PHONE, DESKTOP = (
    {"width": 390, "height": 844},
    {"width": 320, "height": 640},
    {"width": 1280, "height": 900},
)
EXPECTED = (
    "Failed to load resource: the server responded with a status of",
    "Failed to load resource: net::ERR_INTERNET",
)
"""What Chromium notes on its console of answers of 400 or more, and without a network; pages expect both."""


class Site:
    """A lab with a gateway; its tenant has server berlin and peer alice."""

    def __init__(self, lab: Lab, gateway: Gateway) -> None:
        self.lab, self.gateway, self.url = lab, gateway, gateway.url
        self.token = gateway.token(lab.namespace, "staff")
        self._api = httpx.Client(
            base_url=f"{self.url}/api/v1/wireguard",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the REST API."""
        answer = self._api.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def id_of(self, name: str) -> str:
        """The id of a peer; waits until the gateway knows it."""
        return str(wait_for(f"peer {name} in the API", lambda: self._find(name), 30)["id"])

    def _find(self, name: str) -> dict[str, Any] | None:
        found = self.api("GET", f"/peers?limit=1000&search={name}")["peers"]
        return next((peer for peer in found if peer["name"] == name), None)

    def link(self, peer: str = "alice", scope: str = "config") -> str:
        """A new link."""
        return str(self.api("POST", f"/peers/{self.id_of(peer)}/tickets", {"scope": scope})["url"])

    def add_peer(self, name: str, **spec: Any) -> None:
        """Another peer of server berlin."""
        body = {
            "apiVersion": "wireguard.dotmac.io/v1alpha1",
            "kind": "WireGuardPeer",
            "metadata": {"name": name},
            "spec": {"serverRef": {"name": "berlin"}} | spec,
        }
        self.lab.kubectl("apply", "-f", "-", stdin=json.dumps(body))


@dataclass
class Visit:
    """One browser window and what happened in it."""

    page: Page
    origin: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Take note of requests, errors and what the console says."""
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)

    def check(self) -> None:
        """Nothing went elsewhere, nothing was blocked by the page's own policy, and no script failed."""
        assert self.requests
        elsewhere = [
            request.url
            for request in self.requests
            if request.url.partition(":")[0] != "blob" and _origin(request.url) != self.origin
        ]
        assert elsewhere == []
        assert [request.url for request in self.requests if "t=ey" in request.url] == [], (
            "a token was sent in an address"
        )
        assert self.complaints == []


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Windows:
    """Opens windows and checks them when all is done."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser, self._site = browser, site
        self._visits: list[tuple[BrowserContext, Visit]] = []

    def open(self, url: str, **options: Any) -> Page:
        """A window of a browser that was never here before, with that address."""
        options = {"viewport": PHONE, "locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        context = self._browser.new_context(**options)
        visit = Visit(context.new_page(), self._site.url)
        visit.watch()
        self._visits.append((context, visit))
        visit.page.goto(url)
        return visit.page

    def close(self) -> None:
        """Close all windows, then check what happened in them."""
        for context, _ in self._visits:
            context.close()
        for _, visit in self._visits:
            visit.check()


def violations(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is: rule, element and what it says."""
    page.evaluate(AXE_SCRIPT)
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 5, "axe has looked at the page"
    return [
        f"{found['id']}: {node['html']}: {node['failureSummary']}"
        for found in result["violations"]
        for node in found["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def small_targets(page: Page) -> list[str]:
    """Buttons and fields that are less than 44 pixels high."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('button, .button, summary, input, select, textarea')]
            .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
            .map((element) => element.outerHTML)"""
    )
    return found


def keep(page: Page, name: str) -> None:
    """A picture of the page, for whoever wants to look at it: in the folder that WG_TEST_PICTURES names, if it does."""
    if folder := os.environ.get("WG_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
