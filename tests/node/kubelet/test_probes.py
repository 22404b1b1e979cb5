"""Thresholds of probes."""

import msgspec
import pytest

from minik8s.api.core_v1 import Container, Probe
from minik8s.node.kubelet.handlers import port_number
from minik8s.node.kubelet.probes import Tally


@pytest.mark.parametrize(
    ("probe", "answers", "verdicts"),
    [
        ({}, "++-", [True, True, True]),
        ({}, "---", [None, None, False]),
        ({"failureThreshold": 1}, "+-+", [True, False, True]),
        ({"successThreshold": 2, "failureThreshold": 2}, "+-++--", [None, None, None, True, True, False]),
        ({}, "+--+---", [True, True, True, True, True, True, False]),
    ],
)
def test_a_verdict_takes_its_threshold_of_equal_answers_in_a_row(probe, answers, verdicts):
    tally = Tally(msgspec.convert(probe, Probe))
    seen, before = [], None
    for answer in answers:
        assert tally.add(answer == "+") == (tally.verdict != before)
        before = tally.verdict
        seen.append(tally.verdict)
    assert seen == verdicts


def test_ports_may_be_named():
    container = msgspec.convert({"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}, Container)
    assert [port_number(port, container) for port in (80, "81", "http")] == [80, 81, 8080]
    with pytest.raises(ValueError, match="couldn't find port: admin in container c"):
        port_number("admin", container)
