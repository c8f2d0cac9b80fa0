"""How an agent's identity is replaced while it runs."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wireguard_operator.agent import controller_port, identity
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.controller_port import PortError
from wireguard_operator.agent.identity import Identity
from wireguard_operator.agent.protocol import agent_name
from wireguard_operator.agent.store import Store
from wireguard_operator.agent.tls import BundleError, trusting
from wireguard_operator.controller.agents.client import use
from wireguard_operator.domain import certificates
from wireguard_operator.domain.certificates import Usage

NOW = datetime.now(UTC)
AUTHORITY = certificates.make_authority(NOW)
NAME = agent_name("isp", "berlin")
LIFE = timedelta(days=90)


def bundle(
    age: timedelta = timedelta(), server: str = "isp/berlin", controller: str = "https://192.0.2.1:8444"
) -> Bundle:
    own = certificates.request(NAME)
    certificate = certificates.sign(AUTHORITY, own.certificate, NAME, Usage.HOST, NOW - age, LIFE)
    return Bundle(
        server=server, listen="127.0.0.1:1", certificate=certificate, private_key=own.private_key,
        ca=AUTHORITY.certificate, controller=controller,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "state")
    store.make_directory()
    return store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Bundle]:
    """Who asked for a renewal; the next certificate is new."""
    asked: list[Bundle] = []

    async def renew(old: Bundle) -> Bundle:
        asked.append(old)
        return bundle()

    monkeypatch.setattr(controller_port, "renew", renew)
    return asked


@pytest.mark.parametrize(("days", "renewals"), [(0, 0), (53, 0), (55, 1), (89, 1)])
async def test_it_is_renewed_when_sixty_percent_of_its_life_have_passed(
    days: int, renewals: int, store: Store, asked: list[Bundle]
) -> None:
    old = bundle(timedelta(days=days))
    subject = Identity(old, store)
    for _ in range(2):
        await subject.look()
    assert len(asked) == renewals
    assert (subject.bundle != old) == bool(renewals)
    if renewals:
        assert store.load_bundle() == subject.bundle


async def test_the_listener_shows_the_new_certificate_and_an_open_connection_goes_on(
    store: Store, asked: list[Bundle]
) -> None:
    subject = Identity(bundle(timedelta(days=60)), store)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.write(await reader.readline())
        writer.close()

    client = certificates.issue(AUTHORITY, "controller.wireguard.dotmac.io", Usage.CONTROLLER, NOW)

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        context = trusting(AUTHORITY.certificate)
        use(context, client)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = session.getpeercert(binary_form=True)
        assert shown is not None
        return reader, writer, shown

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=subject.context)
    port = server.sockets[0].getsockname()[1]
    reader, writer, before = await connect()
    writer.write(b"one\n")
    assert await reader.readline() == b"one\n"
    await subject.look()
    assert len(asked) == 1
    writer.write(b"two\n")
    assert await reader.readline() == b"two\n"
    _, other, after = await connect()
    assert after != before
    for connection in (writer, other):
        connection.close()
    server.close()


async def test_a_renewal_that_fails_is_tried_again_later_and_the_old_one_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def fail(_: Bundle) -> Bundle:
        nonlocal tries
        tries += 1
        raise PortError("no answer")

    monkeypatch.setattr(controller_port, "renew", fail)
    old = bundle(timedelta(days=60))
    subject = Identity(old, store)
    for _ in range(3):
        await subject.look()
    assert tries == 1 and subject.bundle == old
    assert "not renewed yet: no answer" in caplog.text


async def test_one_that_expired_says_what_to_do_and_a_new_one_on_the_disk_is_taken(
    store: Store, asked: list[Bundle], caplog: pytest.LogCaptureFixture
) -> None:
    subject = Identity(bundle(timedelta(days=91)), store)
    await subject.look()
    assert asked == [] and "expired at" in caplog.text and "host-token" in caplog.text
    assert subject.complaint()
    fresh = bundle()
    store.save_bundle(fresh)  # as host-enroll does
    await subject.look()
    assert subject.bundle == fresh and subject.complaint() is None


async def test_what_is_for_another_server_or_damaged_is_not_taken(store: Store) -> None:
    old = bundle()
    subject = Identity(old, store)
    store.save_bundle(bundle(server="isp/paris"))
    with pytest.raises(BundleError, match="restart it"):
        await subject.look()
    store.save_bundle(bundle().model_copy(update={"private_key": "nonsense"}))
    with pytest.raises(BundleError, match="damaged"):
        await subject.look()
    assert subject.bundle == old


async def test_a_host_without_the_controller_s_port_renews_nothing(store: Store, asked: list[Bundle]) -> None:
    subject = Identity(bundle(timedelta(days=89), controller=""), store)
    await subject.look()
    assert asked == [] and subject._pause() == identity.LOOK_SECONDS
