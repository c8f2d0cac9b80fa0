"""The staff's page: what it shows, what it does to a real tunnel, and what it cannot."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from site_of_provider import DESKTOP, PHONE, Site, Windows, keep, overflow, small_targets, violations

from tools.lab import wait_for

PEERS = 30


def sign_in(site: Site, windows: Windows, token: str | None = None, tenant: str = "", **options: object) -> Page:
    page = windows.open(f"{site.url}/staff", **({"viewport": DESKTOP} | options))
    page.locator("#token").fill(token or site.token)
    page.locator("#tenant").fill(tenant)
    page.get_by_role("button", name="Sign in").click()
    return page


def open_peer(page: Page, name: str) -> None:
    page.locator("#search").fill(name)
    expect(page.locator("tr[data-peer]")).to_have_count(1)
    page.locator(f"tr[data-peer={name}] button").click()
    expect(page.locator("dialog[open] #peer-name")).to_have_text(name)


def test_staff_suspend_a_subscriber_whose_ping_stops_and_resume_it(site: Site, windows: Windows) -> None:
    site.lab.connect()
    try:
        wait_for("the ping through the tunnel", site.lab.ping, 15)
        page = sign_in(site, windows)
        expect(page.locator("[data-server=berlin]")).to_contain_text("of 253 peers")
        expect(page.locator("tr[data-peer=alice] .state.online")).to_be_visible()
        open_peer(page, "alice")
        expect(page.locator("dialog [data-plot] svg")).to_be_visible()
        page.locator("#suspend").click()
        expect(page.locator("[data-resume=non-payment]")).to_be_visible()
        wait_for("the ping to stop", lambda: not site.lab.ping(seconds=0.2), 15)
        expect(page.locator("tr[data-peer=alice]")).to_contain_text("Suspended")
        spec = site.lab.get("wgp", "alice")["spec"]
        assert [(lock["reason"], lock["by"].split(":")[-1]) for lock in spec["suspensions"]] == [
            ("non-payment", "staff")
        ]
        page.locator("[data-resume=non-payment]").click()
        expect(page.locator("[data-resume=non-payment]")).to_have_count(0)
        wait_for("the ping to come back", site.lab.ping, 30)
    finally:
        site.lab.disconnect()


def test_search_and_pages_are_the_servers_work(site: Site, windows: Windows) -> None:
    for number in range(PEERS):
        site.add_peer(f"line-{number:02}", subscriber={"customerId": f"C-{number:02}"})
    site.id_of(f"line-{PEERS - 1:02}")
    page = sign_in(site, windows)
    rows, note = page.locator("tr[data-peer]"), page.locator("#range")
    expect(rows).to_have_count(25)
    total = site.api("GET", "/peers?limit=1")["total"]
    expect(note).to_have_text(f"1\N{EN DASH}25 of {total}")
    page.get_by_role("button", name="Next").click()
    expect(note).to_have_text(f"26\N{EN DASH}{total} of {total}")
    with page.expect_request(lambda request: "search=C-07" in request.url):
        page.locator("#search").fill("C-07")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("line-07")
    # By address, as a complaint comes.
    address = wait_for("the address", lambda: site.lab.get("wgp", "line-07")["status"].get("addresses"))[0]
    page.locator("#search").fill(address)
    expect(rows).to_have_count(1)
    page.locator("#search").fill("nobody at all")
    expect(page.locator("main")).to_contain_text("No peer matches.")
    page.locator("#search").fill("")
    page.locator("#filter").select_option("suspended")
    expect(page.locator("main")).to_contain_text("No peer matches.")


def test_a_link_that_staff_make_works_until_they_revoke_it(site: Site, windows: Windows) -> None:
    page = sign_in(site, windows)
    open_peer(page, "alice")
    page.locator("#link-status").click()
    link = page.locator("#link").input_value()
    subscriber = windows.open(link)
    expect(subscriber.locator("[data-state]")).to_be_visible()
    name = link.partition("#")[0].rpartition("/")[2]
    page.locator(f"[data-revoke={name}]").click()
    expect(page.locator(f"[data-revoke={name}]")).to_have_count(0)
    subscriber.reload()
    expect(subscriber.locator("h1")).to_have_text("This link cannot be used any more")


def test_a_token_is_in_this_tab_only_and_gone_after_signing_out(site: Site, windows: Windows) -> None:
    page = sign_in(site, windows)
    expect(page.locator("tr[data-peer=alice]")).to_be_visible()
    kept = page.evaluate("() => [localStorage.length, document.cookie, JSON.stringify(sessionStorage)]")
    assert kept[:2] == [0, ""] and site.token in kept[2]
    page.reload()
    expect(page.locator("tr[data-peer=alice]")).to_be_visible()
    page.locator("#signout").click()
    expect(page.locator("#token")).to_be_focused()
    assert page.evaluate("() => sessionStorage.length") == 0
    page.reload()
    expect(page.locator("#token")).to_be_visible()


def test_a_token_that_may_not_gets_the_sentence_of_the_api(site: Site, windows: Windows) -> None:
    page = sign_in(site, windows, "not-a-token")
    expect(page.get_by_role("alert")).to_contain_text("the token is not valid for this gateway")
    page = sign_in(site, windows, tenant="kube-system")
    expect(page.get_by_role("alert")).to_contain_text("in tenant kube-system")
    expect(page.locator("#token")).to_be_visible()


def test_a_look_without_rights_for_links_shows_none(site: Site, windows: Windows) -> None:
    rules = [
        {
            "apiGroups": ["wireguard.dotmac.io"],
            "resources": ["wireguardservers", "wireguardpeers"],
            "verbs": ["get", "list"],
        }
    ]
    token = site.gateway.token(site.lab.namespace, "onlooker", rules)
    page = sign_in(site, windows, token)
    open_peer(page, "alice")
    expect(page.locator("#link-config")).to_have_count(0)
    page.locator("#suspend").click()
    expect(page.get_by_role("alert")).to_contain_text("may not create wireguardpeers/suspend")
    assert (
        "suspensions" not in site.lab.get("wgp", "alice")["spec"]
        or site.lab.get("wgp", "alice")["spec"]["suspensions"] == []
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_view_can_be_read_and_reached_by_the_whole_staff(
    site: Site, windows: Windows, scheme: str, size: dict[str, int]
) -> None:
    def check(page: Page, view: str) -> None:
        keep(page, f"staff-{view}-{size['width']}-{scheme}")
        assert violations(page) == []
        assert overflow(page) <= 0
        assert small_targets(page) == []

    page = windows.open(f"{site.url}/staff", viewport=size, color_scheme=scheme)
    expect(page.locator("#token")).to_be_visible()
    check(page, "sign-in")
    page.locator("#token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("tr[data-peer=alice]")).to_be_visible()
    check(page, "board")
    open_peer(page, "alice")
    page.locator("#link-config").click()
    expect(page.locator("#link")).to_be_visible()
    check(page, "peer")
