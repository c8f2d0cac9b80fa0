"""How a change of a device's state is taken back."""

from __future__ import annotations

from dataclasses import replace

from wireguard_operator.domain.device import Delta, DesiredState, DevicePeer, Interface, inverse

INTERFACE = Interface("key", 51820, 1420, ("10.8.0.1/24",))
ONE, TWO, THREE = (DevicePeer(key, (f"10.8.0.{number}/32",)) for number, key in enumerate(("one", "two", "three"), 2))


def test_an_inverse_leads_back() -> None:
    moved = replace(ONE, allowed_ips=("10.8.0.9/32",))
    for delta in (
        Delta(upsert=(moved, THREE), remove=("two", "never seen")),
        Delta(upsert=(moved, replace(moved, preshared_key="secret")), remove=("one",)),
        Delta(interface=replace(INTERFACE, mtu=1300)),
        Delta(),
    ):
        state = DesiredState(INTERFACE, (ONE, TWO))
        before = state.digest
        back = inverse(state, delta)
        state.apply(delta)
        assert (state.digest != before) == bool(delta)
        state.apply(back)
        assert (state.digest, dict(state.peers)) == (before, {"one": ONE, "two": TWO})
