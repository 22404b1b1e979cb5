"""Which endpoint comes next."""

from minik8s.node.proxy.balancer import SHUN_S, Balancer
from minik8s.node.proxy.rules import Endpoint, Rule

A, B, C = (Endpoint(ip, 1) for ip in "abc")


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


def balancer(*endpoints: Endpoint, affinity_s: int = 0) -> tuple[Balancer, Hand]:
    clock = Hand()
    return Balancer(Rule("s", endpoints, affinity_s), clock=clock), clock


def first(found: Balancer, client: str = "x") -> Endpoint:
    endpoint = next(iter(found.candidates(client)))
    found.connected(client, endpoint)
    return endpoint


def test_connections_go_round():
    found, _ = balancer(A, B, C)
    assert [first(found) for _ in range(6)] == [B, C, A, B, C, A]


def test_all_endpoints_are_candidates_and_none_of_none():
    assert set(balancer(A, B, C)[0].candidates("x")) == {A, B, C}
    assert list(balancer()[0].candidates("x")) == []


def test_one_that_refused_is_tried_last_for_a_moment():
    found, clock = balancer(A, B, C)
    found.refused(B)
    assert [list(found.candidates("x"))[-1] for _ in range(3)] == [B, B, B]
    clock.at_s = SHUN_S + 1
    assert {first(found) for _ in range(3)} == {A, B, C}


def test_a_client_keeps_its_endpoint_while_it_lasts():
    found, clock = balancer(A, B, C, affinity_s=10)
    mine = first(found, "x")
    assert [first(found, client) for client in "yxzx"][1::2] == [mine, mine]
    clock.at_s = 5
    assert first(found, "x") == mine  # and the ten seconds begin anew
    clock.at_s = 14
    assert first(found, "x") == mine
    clock.at_s = 100
    assert {first(found, "x")} != {mine} or first(found, "y") != mine
    found.update(Rule("s", (C,), 10))
    assert first(found, "x") == C
