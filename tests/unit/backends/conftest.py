"""The world in memory for the tests of foreign systems."""

from tests.unit.controller.world import world

__all__ = ["world"]
