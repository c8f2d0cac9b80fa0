"""What the product suite (tests/node/product) is told about a cluster: four environment variables, and nothing else.

The suite installs the product, so it must not fall upon whatever cluster a KUBECONFIG happens to name: the other
variables are there only where somebody means it. A place outside the cluster is a network namespace of this machine
that reaches the node's InternalIP. It needs nothing but a network; programs and files are this machine's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KUBECONFIG = "KUBECONFIG"
IMAGE = "WG_TEST_IMAGE"
SUBSCRIBER = "WG_TEST_SUBSCRIBER"
INTERNET = "WG_TEST_INTERNET"

_MEANINGS = {
    KUBECONFIG: "the kubeconfig of a cluster's administrator",
    IMAGE: "the operator's image, name and tag, as the cluster's nodes have it or can pull it",
    SUBSCRIBER: "a network namespace (ip netns) that reaches the node: where subscribers are",
    INTERNET: "another one, with no route to pods but with one to the node: what subscribers go to",
}


class SuiteError(RuntimeError):
    """The suite was not told what it needs; the message says what is missing and who sets it."""


@dataclass(frozen=True)
class Suite:
    """A cluster with the product's image, and two places outside."""

    kubeconfig: Path
    image: str
    subscriber: str
    """Name of a network namespace."""
    internet: str
    """Name of a network namespace."""

    def environment(self) -> dict[str, str]:
        """Return the variables that say this."""
        return {
            KUBECONFIG: str(self.kubeconfig),
            IMAGE: self.image,
            SUBSCRIBER: self.subscriber,
            INTERNET: self.internet,
        }

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Suite":
        """Read the variables. Raises SuiteError, which names all that are missing, or the file that is not there."""
        missing = [name for name in _MEANINGS if not environment.get(name)]
        if missing:
            lines = "\n".join(f"  {name}: {_MEANINGS[name]}" for name in missing)
            raise SuiteError(f"not set:\n{lines}\n`make node` and `make kind-e2e` make all of it and set them")
        kubeconfig = Path(environment[KUBECONFIG]).absolute()
        if not kubeconfig.is_file():
            raise SuiteError(f"{KUBECONFIG} is {environment[KUBECONFIG]!r}; it has to name one file that is there")
        return cls(kubeconfig, environment[IMAGE], environment[SUBSCRIBER], environment[INTERNET])
