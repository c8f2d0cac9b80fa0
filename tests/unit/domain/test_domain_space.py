"""Which addresses may be given out at all: masks of slices against brute force."""

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireguard_operator.api.block import BLOCK_SIZE
from wireguard_operator.domain.networks import Network, is_usable
from wireguard_operator.domain.space import Space, base_of

V4, V6 = ip_network("10.8.0.64/23", strict=False), ip_network("fd00:8::/119")
PARTS = [
    str(part)
    for whole in (ip_network("10.8.0.0/22"), ip_network("fd00:8::/118"))
    for length in (1, 2, 4, 7, 9)
    for part in list(whole.subnets(prefixlen_diff=length))[:: 1 + 3 * (length > 4)]
]


@given(st.sampled_from([V4, V6]), st.lists(st.sampled_from(PARTS), max_size=6))
@settings(max_examples=40, deadline=None)
def test_masks_have_the_bits_of_the_addresses_that_may_be_given_out(network: Network, texts: list[str]) -> None:
    reserved = [ip_network(text) for text in texts]
    space = Space(network, reserved)
    may = [a for a in network if is_usable(network, a) and not any(a in part for part in reserved)]
    assert [address for address in network if space.may_give(address)] == may
    bases = list(space.bases(0))
    assert bases == sorted({base_of(int(address)) for address in may})
    assert [address for base in bases for address in space.addresses(base, space.mask(base))] == may
    second = bases[1] if len(bases) > 1 else 2**127
    assert list(space.bases(second)) == bases[1:]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**127 + 129])
def test_a_slice_begins_at_a_multiple_of_its_size(number: int) -> None:
    assert base_of(number) % BLOCK_SIZE == 0 and 0 <= number - base_of(number) < BLOCK_SIZE


def test_an_address_of_the_other_family_is_in_no_space() -> None:
    space = Space(ip_network("10.8.0.0/24"))
    address = ip_network("::10.8.0.5")[0]
    assert not space.may_give(address) and not space.holds(address)
    assert space.mask(base_of(int(ip_network("10.9.0.0")[0]))) == 0
