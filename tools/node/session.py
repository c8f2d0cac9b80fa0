"""Inside, after the place is made fit: a control plane, its node, and a command that is told where they are.

The command knows the cluster as it would know any other: by a kubeconfig and the name of an image.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from tools.controlplane import ControlPlaneError
from tools.controlplane.paths import say
from tools.image import OPERATOR_IMAGE
from tools.node.network import INTERNET, SUBSCRIBER
from tools.node.node import Node, NodeError, plane_for_node
from tools.suite import Suite


def run(command: Sequence[str]) -> int:
    """Start both, run the command and return its exit code; 1 when they do not start."""
    try:
        with plane_for_node() as plane, Node(plane):
            suite = Suite(plane.kubeconfig, OPERATOR_IMAGE, SUBSCRIBER.netns, INTERNET.netns)
            code = subprocess.call(command, env={**os.environ, **suite.environment()})
            return code if code >= 0 else 128 - code
    except (ControlPlaneError, NodeError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
