"""Any text gives a program or a CelError, and any evaluation ends soon, in little memory."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.control.apiserver import cel
from minik8s.control.apiserver.cel import DYN, Budget, CelError, CostExceeded

WORDS = r"""self oldSelf a b 1 2u 3.5 'x' "y" b'z' [ ] { } ( ) . .? , : ? + - * / % == != < <= in && || ! true null
    has all exists map filter size matches format join split replace lists.range cel.bind optional.of quantity ip cidr
    url semver duration timestamp 'a*' '%s' 9223372036854775807 -1 .all(x, .map(x, .filter(x, .exists(x,y, x) [? {? ` \
    ''' //""".split()  # noqa: SIM905
LIST = list(range(300))


def attempt(source):
    """The value, or the failure; what else is raised is a bug, and so is taking long."""
    started = time.process_time()
    try:
        return cel.compile(source, {"self": DYN, "a": DYN}).evaluate({"self": {"a": LIST}, "a": "text"}, Budget(20_000))
    except CelError as error:
        return error
    finally:
        assert time.process_time() - started < 2


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_words_in_any_order_do_no_harm(source):
    attempt(source)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_does_no_harm(source):
    attempt(source)


EXPENSIVE = [
    "self.all(x, self.all(y, self.all(z, x + y + z >= 0)))",
    "self.map(x, self.map(y, self.map(z, [x, y, z]))).size() > 0",
    "lists.range(1000000000).size() > 0",
    "cel.bind(a, 'xxxxxxxxxx', " + "cel.bind(a, a + a + a + a, " * 25 + "a" + ")" * 26 + " == ''",
    "cel.bind(a, [1], " + "cel.bind(a, [a, a], " * 40 + "a == [a[0], a[1]]" + ")" * 41,
    "cel.bind(a, [1], " + "cel.bind(a, [a, a], " * 40 + "'%s'.format([a]) == ''" + ")" * 41,
    "cel.bind(a, 'x', " + "cel.bind(a, a.replace('', a), " * 40 + "a" + ")" * 41 + " == ''",
    "self.exists(x, self.exists(y, self.exists(z, 1 / 0 == x))) || true",
]


@pytest.mark.parametrize("source", EXPENSIVE, ids=range(len(EXPENSIVE)))
def test_what_costs_too_much_is_ended_and_never_forgiven(source):
    program = cel.compile(source, {"self": DYN})
    started = time.process_time()
    with pytest.raises(CostExceeded, match="actual cost limit exceeded"):
        program.evaluate({"self": LIST})
    assert time.process_time() - started < 4


def test_regular_expressions_take_linear_time():
    started = time.process_time()
    assert cel.compile("self.matches('^(a+)+$')", {"self": DYN}).evaluate({"self": "a" * 50_000 + "b"}) is False
    assert time.process_time() - started < 1


HOSTILE = [
    "[" * 100_000,
    "-" * 50_000 + "1",
    "!" * 50_000 + "true",
    "self" + ".a" * 40_000,
    "'" + "\\n" * 40_000 + "'",
    "1 ? " * 20_000,
    "{" * 5_000 + "}" * 5_000,
    "9" * 90_000,
    "x" * 200_000,
    "self" + ".map(x, self" * 200 + ")" * 200,
    "\ud800",
    "'\\ud800'",
    "\0",
]


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_refused_quickly(source):
    started = time.process_time()
    attempt(source)
    assert time.process_time() - started < 2


def test_several_evaluations_can_share_a_budget():
    program, budget = cel.compile("self.all(x, x >= 0)", {"self": DYN}), Budget(2000)
    assert program.evaluate({"self": LIST}, budget) is True
    with pytest.raises(CostExceeded):
        for _ in range(10):
            program.evaluate({"self": LIST}, budget)
