"""Cables from the node to the world: a subscriber on one, the internet on the other.

Both are network namespaces, made inside the node's and seen from nowhere else. Addresses are those for documentation.
"""

from dataclasses import dataclass

from tools.lab import sh


@dataclass(frozen=True)
class Site:
    """A place outside the cluster with a cable to the node."""

    netns: str
    ipv4: str
    """The first three octets of the cable's network."""
    ipv6: str
    """The first three groups of the cable's network."""

    @property
    def node_address(self) -> str:
        """The node's address at its end."""
        return f"{self.ipv4}.1"

    @property
    def node_address6(self) -> str:
        """The node's IPv6 address at its end."""
        return f"{self.ipv6}::1"

    @property
    def address(self) -> str:
        """The site's own address."""
        return f"{self.ipv4}.2"

    @property
    def address6(self) -> str:
        """The site's own IPv6 address."""
        return f"{self.ipv6}::2"

    def command(self, *command: str) -> list[str]:
        """Return a command line that runs there."""
        return ["ip", "netns", "exec", self.netns, *command]

    def build(self) -> None:
        """Make the namespace, lay the cable, and make the node the site's way to everywhere."""
        device = f"to-{self.netns}"[:15]
        inside = ("-n", self.netns)
        sh("ip", "netns", "add", self.netns)
        sh("ip", *inside, "link", "set", "lo", "up")
        sh("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        for where, end, address, address6 in (
            ((), device, self.node_address, self.node_address6),
            (inside, "eth0", self.address, self.address6),
        ):
            sh("ip", *where, "address", "add", f"{address}/24", "dev", end)
            sh("ip", *where, "address", "add", f"{address6}/64", "dev", end, "nodad")
            sh("ip", *where, "link", "set", end, "up")
        sh("ip", *inside, "route", "add", "default", "via", self.node_address)
        sh("ip", *inside, "-6", "route", "add", "default", "via", self.node_address6)


SUBSCRIBER = Site("subscriber", "198.51.100", "2001:db8:1")
INTERNET = Site("internet", "203.0.113", "2001:db8:2")


def build() -> None:
    """Build both; the node's default route leads to the internet, which knows nothing of pods."""
    for site in (SUBSCRIBER, INTERNET):
        site.build()
    sh("ip", "route", "add", "default", "via", INTERNET.address)
    sh("ip", "-6", "route", "add", "default", "via", INTERNET.address6)
