"""Many subscribers in one process: WireGuard's protocol (whitepaper, section 5.4) without a device for each.

A thousand processes of wireguard-go would be more than a small machine holds. Every subscriber has a key, a socket and
sessions of its own, shakes hands from either side as a real one does, with its timers, and pings through the tunnel. So
`python -m tests.node.crowd FILE` stands for that many real clients: the server and its device cannot tell them apart.
FILE is JSON; the report on standard output, too. It ends on SIGINT.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import signal
import socket
import struct
import sys
import time
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import blake2s
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

INITIATION, RESPONSE, DATA = 1, 2, 4
RETRY_SECONDS, SILENT_SECONDS, REKEY_SECONDS, REJECT_SECONDS = 5.0, 15.0, 120.0, 180.0
"""Between two initiations; without an answer before a new one; of a session before the next; of a session at most."""
STALL_SECONDS = 0.1
"""For which this process itself got no CPU: what it then measures is not the server's."""


def hash_(*parts: bytes) -> bytes:
    """HASH of the whitepaper."""
    return blake2s(b"".join(parts)).digest()


def kdf(key: bytes, data: bytes, count: int) -> list[bytes]:
    """KDF1, KDF2 and KDF3."""
    secret, out, last = hmac.digest(key, data, "blake2s"), [], b""
    for number in range(1, count + 1):
        last = hmac.digest(secret, last + bytes([number]), "blake2s")
        out.append(last)
    return out


START = hash_(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
START_HASH = hash_(START, b"WireGuard v1 zx2c4 Jason@zx2c4.com")


def seal(key: bytes, counter: int, data: bytes, aad: bytes = b"") -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(4) + struct.pack("<Q", counter), data, aad)


def unseal(key: bytes, counter: int, data: bytes, aad: bytes = b"") -> bytes:
    """Raises InvalidTag."""
    return ChaCha20Poly1305(key).decrypt(bytes(4) + struct.pack("<Q", counter), data, aad)


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def shared(key: X25519PrivateKey, other: bytes) -> bytes:
    return key.exchange(X25519PublicKey.from_public_bytes(other))


def marked(body: bytes, receiver: bytes) -> bytes:
    """A handshake message with its first MAC, and no second one, which only a server under load asks for."""
    key = hash_(b"mac1----", receiver)
    return body + blake2s(body, digest_size=16, key=key).digest() + bytes(16)


@dataclass
class Session:
    """Keys of one handshake."""

    receiver: int
    sending: ChaCha20Poly1305
    receiving: ChaCha20Poly1305
    born: float
    counter: int = 0


@dataclass
class Subscriber(asyncio.DatagramProtocol):
    """One subscriber."""

    key: X25519PrivateKey
    preshared: bytes
    server: bytes
    address: str
    target: str
    sessions: dict[int, Session] = field(default_factory=dict)
    """By our index."""
    current: Session | None = None
    pending: tuple[int, X25519PrivateKey, bytes, bytes] | None = None
    """Our index, ephemeral key, chaining key and hash of an initiation without an answer."""
    initiated: float = 0.0
    unanswered: float = 0.0
    """Since when data was sent and nothing came; 0: not."""
    answers: list[float] = field(default_factory=list)
    handshakes: int = 0
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.sendto(data)

    def error_received(self, error: Exception) -> None:
        """A port that is closed for a moment is the point of the exercise."""

    def ping(self, number: int) -> None:
        """One ping, or an initiation where there is no session, as in a device."""
        now = time.monotonic()
        if self.current is None or now - self.current.born > REJECT_SECONDS:
            self.current = None
            self.initiate()
            return
        if now - self.current.born > REKEY_SECONDS or (self.unanswered and now - self.unanswered > SILENT_SECONDS):
            self.initiate()
        packet = echo_request(self.address, self.target, number)
        self.unanswered = self.unanswered or now
        self._send_data(self.current, packet)

    def initiate(self) -> None:
        now = time.monotonic()
        if now - self.initiated < RETRY_SECONDS:
            return
        self.initiated = now
        index, ephemeral = int.from_bytes(os.urandom(4), "little"), X25519PrivateKey.generate()
        chain, digest = START, hash_(START_HASH, self.server)
        (chain,) = kdf(chain, public(ephemeral), 1)
        digest = hash_(digest, public(ephemeral))
        chain, secret = kdf(chain, shared(ephemeral, self.server), 2)
        static = seal(secret, 0, public(self.key), digest)
        digest = hash_(digest, static)
        chain, secret = kdf(chain, shared(self.key, self.server), 2)
        wall = time.time()
        stamp = struct.pack(">QI", int(wall) + 0x400000000000000A, int(wall % 1 * 1e9))
        stamp = seal(secret, 0, stamp, digest)
        digest = hash_(digest, stamp)
        self.pending = index, ephemeral, chain, digest
        body = struct.pack("<II", INITIATION, index) + public(ephemeral) + static + stamp
        self.send(marked(body, self.server))

    def datagram_received(self, data: bytes, address: Any) -> None:
        try:
            kind = data[0] if data else 0
            if kind == DATA:
                self._take_data(data)
            elif kind == RESPONSE and len(data) == 92:
                self._take_response(data)
            elif kind == INITIATION and len(data) == 148:
                self._take_initiation(data)
        except InvalidTag:
            return

    def _take_data(self, data: bytes) -> None:
        _, index, counter = struct.unpack_from("<IIQ", data)
        session = self.sessions.get(index)
        if session is None:
            return
        packet = session.receiving.decrypt(bytes(4) + struct.pack("<Q", counter), data[16:], b"")
        self.unanswered = 0.0
        # As responder a device uses new keys once they have been used by the other side.
        if self.current is None or session.born > self.current.born:
            self.current = session
        if len(packet) >= 28 and packet[20] == 0:
            self.answers.append(time.time())

    def _take_response(self, data: bytes) -> None:
        if self.pending is None:
            return
        index, ephemeral, chain, digest = self.pending
        _, receiver, ours = struct.unpack_from("<III", data)
        if ours != index:
            return
        other, empty = data[12:44], data[44:60]
        (chain,) = kdf(chain, other, 1)
        digest = hash_(digest, other)
        (chain,) = kdf(chain, shared(ephemeral, other), 1)
        (chain,) = kdf(chain, shared(self.key, other), 1)
        chain, tau, secret = kdf(chain, self.preshared, 3)
        digest = hash_(digest, tau)
        unseal(secret, 0, empty, digest)
        sending, receiving = kdf(chain, b"", 2)
        self.pending = None
        self._keep(index, receiver, sending, receiving)
        self.current = self.sessions[index]
        self._send_data(self.current, b"")  # which tells the server that it may use them, too

    def _take_initiation(self, data: bytes) -> None:
        _, receiver = struct.unpack_from("<II", data)
        other, static, stamp = data[8:40], data[40:88], data[88:116]
        chain, digest = START, hash_(START_HASH, public(self.key))
        (chain,) = kdf(chain, other, 1)
        digest = hash_(digest, other)
        chain, secret = kdf(chain, shared(self.key, other), 2)
        if unseal(secret, 0, static, digest) != self.server:
            return
        digest = hash_(digest, static)
        chain, secret = kdf(chain, shared(self.key, self.server), 2)
        unseal(secret, 0, stamp, digest)
        digest = hash_(digest, stamp)
        index, ephemeral = int.from_bytes(os.urandom(4), "little"), X25519PrivateKey.generate()
        (chain,) = kdf(chain, public(ephemeral), 1)
        digest = hash_(digest, public(ephemeral))
        (chain,) = kdf(chain, shared(ephemeral, other), 1)
        (chain,) = kdf(chain, shared(ephemeral, self.server), 1)
        chain, tau, secret = kdf(chain, self.preshared, 3)
        digest = hash_(digest, tau)
        empty = seal(secret, 0, b"", digest)
        receiving, sending = kdf(chain, b"", 2)
        self._keep(index, receiver, sending, receiving)
        body = struct.pack("<III", RESPONSE, index, receiver) + public(ephemeral) + empty
        self.send(marked(body, self.server))

    def _keep(self, index: int, receiver: int, sending: bytes, receiving: bytes) -> None:
        self.handshakes += 1
        session = Session(receiver, ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving), time.monotonic())
        self.sessions[index] = session
        for old in list(self.sessions)[:-3]:
            if self.sessions[old] is not self.current:
                del self.sessions[old]

    def _send_data(self, session: Session, packet: bytes) -> None:
        padded = packet + bytes(-len(packet) % 16)
        head = struct.pack("<IIQ", DATA, session.receiver, session.counter)
        self.send(head + session.sending.encrypt(bytes(4) + head[8:], padded, b""))
        session.counter += 1


def echo_request(source: str, target: str, number: int) -> bytes:
    """A ping in IPv4."""
    body = struct.pack(">BBHHH", 8, 0, 0, 1, number & 0xFFFF) + b"crowd..."
    body = body[:2] + checksum(body) + body[4:]
    ends = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0) + ends
    return head[:10] + checksum(head) + head[12:] + body


def checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF)


async def live(plan: dict[str, Any]) -> dict[str, Any]:
    """Ping from all, each ``interval`` seconds, until told to end."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    host, port = plan["server"]
    crowd = []
    for one in plan["peers"]:
        key = X25519PrivateKey.from_private_bytes(b64decode(one["privateKey"]))
        preshared = b64decode(one.get("presharedKey") or "") or bytes(32)
        person = Subscriber(key, preshared, b64decode(plan["publicKey"]), one["address"], plan["target"])
        await loop.create_datagram_endpoint(
            lambda person=person: person, remote_addr=(host, port), family=socket.AF_INET
        )
        crowd.append(person)
    interval, number, told, stalled = float(plan["interval"]), 0, False, list[tuple[float, float]]()
    start = loop.time()
    while not stop.is_set():
        for place, person in enumerate(crowd):
            # Evenly, as people are: not all at one moment.
            due = start + (number + place / len(crowd)) * interval
            before = loop.time()
            await asyncio.sleep(max(0.0, due - before))  # also when late: answers have to be read
            if (late := loop.time() - max(due, before)) > STALL_SECONDS:
                stalled.append((time.time(), late))
            person.ping(number)
        number += 1
        if not told and all(person.answers for person in crowd):
            told = True
            Path(plan["ready"]).touch()
    return {
        "interval": interval,
        "stalled": stalled,
        "peers": [{"answers": person.answers, "handshakes": person.handshakes} for person in crowd],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(live(json.loads(Path(sys.argv[1]).read_text())))))
