"""Which address a pod gets."""

import pytest

from minik8s.node.runtime.addresses import next_address, parse_cidr
from minik8s.node.runtime.errors import RuntimeFault

NETWORK = parse_cidr("127.9.0.0/29")  # .2 to .6 can be given


@pytest.mark.parametrize(
    ("taken", "last", "expected"),
    [
        ((), "", "127.9.0.2"),
        ((), "127.9.0.2", "127.9.0.3"),
        (("127.9.0.3",), "127.9.0.2", "127.9.0.4"),
        ((), "127.9.0.6", "127.9.0.2"),
        (("127.9.0.2",), "127.9.0.6", "127.9.0.3"),
        ((), "127.44.0.9", "127.9.0.2"),  # the range has changed since
    ],
)
def test_addresses_go_round(taken, last, expected):
    assert next_address(NETWORK, set(taken), last) == expected


def test_a_full_range_is_said_to_be_full():
    with pytest.raises(RuntimeFault, match="no IP addresses available"):
        next_address(NETWORK, {f"127.9.0.{n}" for n in range(8)}, "")


@pytest.mark.parametrize("text", ["", "pods", "127.0.0.1/31", "fd00::/64"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(RuntimeFault, match="pod CIDR"):
        parse_cidr(text)
