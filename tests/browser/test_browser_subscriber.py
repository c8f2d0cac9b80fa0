"""A subscriber with a link, in a real browser before the real gateway, and with a real tunnel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from site_of_provider import DESKTOP, PHONE, SMALL_PHONE, Site, Windows, keep, overflow, small_targets, violations

from tools.lab import wait_for

DEVICE_KEY = "Zm9yIGV4YW1wbGUgb25seSwgYSBkZXZpY2UncyBrZXk="


def reveal(page: Page) -> None:
    page.locator("#reveal").click()
    expect(page.locator("#download")).to_be_visible()


def scan(page: Page, picture: Path) -> str:
    """What a camera reads off the screen."""
    page.locator(".code svg").screenshot(path=picture)
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.removesuffix("\n")


def test_who_scans_the_code_from_the_screen_is_connected_and_the_page_says_so(
    site: Site, windows: Windows, tmp_path: Path
) -> None:
    page = windows.open(site.link())
    reveal(page)
    expect(page.locator("#live [data-state]")).to_have_attribute("data-state", "unused")
    configuration = scan(page, tmp_path / "screen.png")
    assert configuration == site.lab.configuration()
    site.lab.connect(configuration=configuration)
    try:
        wait_for("the ping through the tunnel", site.lab.ping, 15)
        expect(page.locator("#live [data-state]")).to_have_attribute("data-state", "online")
        # A link for the status says the same, and goes on doing so.
        status = windows.open(site.link(scope="status"))
        for _ in range(2):
            expect(status.locator("[data-state]")).to_have_attribute("data-state", "online")
            expect(status.locator("[data-plot] svg")).to_be_visible()
            expect(status.locator("main")).to_contain_text("10.8.0.2/32")
            assert "PrivateKey" not in status.content()
            status.reload()
        expect(status.locator("[data-plot] svg rect.upload")).to_have_count(1)
    finally:
        site.lab.disconnect()


def test_the_file_is_the_configuration_and_is_no_second_request(site: Site, windows: Windows) -> None:
    page = windows.open(site.link(), viewport=DESKTOP)
    reveal(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "wg0.conf"
    assert Path(download.value.path()).read_text() == site.lab.configuration()
    assert [url for url in asked if "/config" in url] == []


def test_a_link_opens_once_and_leaves_the_address_bar(site: Site, windows: Windows) -> None:
    link = site.link()
    page = windows.open(link)
    reveal(page)
    assert "#" not in page.url and page.url == link.partition("#")[0]
    second = windows.open(link)
    expect(second.locator("h1")).to_have_text("This link cannot be used any more")
    expect(second.locator("#reveal")).to_have_count(0)
    page.reload()
    expect(page.locator("h1")).to_have_text("This link is incomplete")


def test_whoever_only_looks_at_a_link_uses_nothing_up(site: Site, windows: Windows) -> None:
    link = site.link()
    # A mail scanner that runs scripts, one that does not, and a reader who comes back later.
    expect(windows.open(link).locator("#reveal")).to_be_visible()
    plain = windows.open(link, java_script_enabled=False)
    expect(plain.locator("noscript p")).to_contain_text("needs JavaScript")
    page = windows.open(link)
    expect(page.locator("#reveal")).to_be_visible()
    page.reload()
    reveal(page)


def test_two_windows_of_one_link_and_one_of_them_is_served(site: Site, windows: Windows) -> None:
    link = site.link()
    first, second = windows.open(link), windows.open(link)
    expect(second.locator("#reveal")).to_be_visible()
    reveal(first)
    second.locator("#reveal").click()
    expect(second.locator("h1")).to_have_text("This link cannot be used any more")


def test_without_a_network_nothing_is_spent_and_the_page_offers_another_try(site: Site, windows: Windows) -> None:
    page = windows.open(site.link())
    expect(page.locator("#reveal")).to_be_visible()
    page.context.set_offline(True)
    page.locator("#reveal").click()
    expect(page.locator("h1")).to_have_text("The service did not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    reveal(page)


def test_a_device_that_keeps_its_key_gets_a_file_and_no_code(site: Site, windows: Windows) -> None:
    site.add_peer("router", publicKey=DEVICE_KEY)
    site.lab.wait_ready("wgp", "router")
    page = windows.open(site.link("router"))
    reveal(page)
    expect(page.locator(".code")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("keeps its private key to itself")


def test_a_suspended_subscriber_is_told_why(site: Site, windows: Windows) -> None:
    site.add_peer("late", suspensions=[{"reason": "non-payment", "message": "third reminder", "by": "carl"}])
    wait_for("the suspension", lambda: site.lab.get("wgp", "late")["status"]["phase"] == "Suspended")
    page = windows.open(site.link("late", "status"))
    expect(page.locator("[data-state]")).to_have_attribute("data-state", "suspended")
    expect(page.locator("main")).to_contain_text("An invoice is open.")
    assert "third reminder" not in page.content() and "carl" not in page.content()


def test_the_keyboard_is_enough(site: Site, windows: Windows) -> None:
    page = windows.open(site.link())
    expect(page.locator("#reveal")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#reveal")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("h1")).to_be_focused()


def test_the_page_speaks_the_readers_language(site: Site, windows: Windows) -> None:
    page = windows.open(site.link(), locale="de-AT")
    expect(page.locator("#reveal")).to_have_text("Konfiguration anzeigen")
    assert page.evaluate("() => document.documentElement.lang") == "de"
    expect(windows.open(site.link(), locale="fr-FR").locator("#reveal")).to_have_text("Show my configuration")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [SMALL_PHONE, PHONE, DESKTOP], ids=["small phone", "phone", "desktop"])
def test_every_view_can_be_read_and_reached_by_everybody(
    site: Site, windows: Windows, scheme: str, size: dict[str, int]
) -> None:
    link = site.link()

    def check(page: Page, view: str) -> None:
        keep(page, f"subscriber-{view}-{size['width']}-{scheme}")
        assert violations(page) == []
        assert overflow(page) <= 0
        assert small_targets(page) == []

    page = windows.open(link, viewport=size, color_scheme=scheme)
    expect(page.locator("#reveal")).to_be_visible()
    check(page, "offer")
    reveal(page)
    expect(page.locator("#live [data-state]")).to_be_visible()
    check(page, "configuration")
    over = windows.open(link, viewport=size, color_scheme=scheme)
    expect(over.locator("h1")).to_have_text("This link cannot be used any more")
    check(over, "over")
    status = windows.open(site.link(scope="status"), viewport=size, color_scheme=scheme)
    expect(status.locator("[data-state]")).to_be_visible()
    check(status, "status")
