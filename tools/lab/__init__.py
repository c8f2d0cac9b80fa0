"""A provider in miniature: controller, agents and subscriber as real processes, joined by cables of network namespaces.

The demo and the cluster tests share it, so what people see is what is tested.
"""

from .daemon import Daemon
from .host import Host
from .lab import REPOSITORY, Lab
from .shell import LabError, sh, unique, wait_for

__all__ = ["REPOSITORY", "Daemon", "Host", "Lab", "LabError", "sh", "unique", "wait_for"]
