"""The API server's and the operator's sentences, with the fields named as the caller knows them."""

from __future__ import annotations

import re

FIELDS = {
    "spec.subscriber.customerId": "customer_id",
    "spec.subscriber.subscriberId": "subscriber_id",
    "spec.client.allowedIPs": "allowed_ips",
    "spec.clientAllowedIPs": "allowed_ips",
    "spec.client.persistentKeepalive": "persistent_keepalive",
    "spec.persistentKeepalive": "persistent_keepalive",
    "spec.addresses": "peer_ipv4 or peer_ipv6",
    "spec.publicKey": "public_key",
    "spec.expiresAt": "expires_at",
    "spec.description": "description",
    "spec.serverRef": "server_id",
    "spec.networks": "server_ipv4 or server_ipv6",
    "spec.endpoint": "public_endpoint",
    "spec.listenPort": "listen_port",
    "spec.maxPeers": "max_peers",
    "spec.dns": "dns_servers",
    "spec.location": "location",
    "spec.suspensions": "suspensions",
    "spec.dataPlane.host.url": "agent_url",
    "metadata.name": "name",
    "metadata.annotations": "metadata, notes or description",
}
_BEGINNING = re.compile(r'^\w+\.wireguard\.dotmac\.io "[^"]*" is invalid: ')
_FIELD = re.compile("|".join(re.escape(path) for path in sorted(FIELDS, key=len, reverse=True)))


def in_words_of_the_contract(sentence: str) -> str:
    """The sentence, with ``spec.addresses[0]`` and the like put as the contract names them."""
    return _FIELD.sub(lambda found: FIELDS[found[0]], _BEGINNING.sub("", sentence))
