"""The world in memory for all tests of the controller."""

from tests.unit.controller.world import world

__all__ = ["world"]
