"""Shared reads: one round trip for many, and never an answer from before the question."""

import asyncio

import pytest

from minik8s.control.apiserver.joined import JoinedRead, JoinedReads

from .harness import scenario


class Source:
    """A value that grows, read slowly."""

    def __init__(self):
        self.value = 0
        self.reads = 0
        self.failure = None

    async def read(self):
        self.reads += 1
        value = self.value
        await asyncio.sleep(0.01)
        if self.failure:
            raise self.failure
        return value


@scenario
async def test_those_who_ask_together_share_one_read():
    source = Source()
    joined = JoinedRead(source.read)
    assert await asyncio.gather(*(joined.get() for _ in range(50))) == [0] * 50
    assert source.reads == 1


@scenario
async def test_nobody_gets_an_answer_from_before_their_question():
    source = Source()
    joined = JoinedRead(source.read)

    async def ask(delay_s):
        await asyncio.sleep(delay_s)
        source.value += 1
        expected = source.value
        assert await joined.get() >= expected

    await asyncio.gather(*(ask(number * 0.001) for number in range(60)))
    assert source.reads < 20


@scenario
async def test_a_failure_is_everybodys_and_the_next_read_is_new():
    source = Source()
    joined = JoinedRead(source.read)
    source.failure = OSError("gone")
    outcomes = await asyncio.gather(joined.get(), joined.get(), return_exceptions=True)
    assert [type(each) for each in outcomes] == [OSError, OSError]
    source.failure = None
    assert await joined.get() == 0


@scenario
async def test_who_leaves_does_not_spoil_it_for_the_others():
    source = Source()
    joined = JoinedRead(source.read)
    leaving, staying = asyncio.ensure_future(joined.get()), asyncio.ensure_future(joined.get())
    await asyncio.sleep(0.005)
    leaving.cancel()
    assert await staying == 0
    with pytest.raises(asyncio.CancelledError):
        await leaving


@scenario
async def test_keys_are_read_apart():
    asked = []

    async def read(key):
        asked.append(key)
        await asyncio.sleep(0.001)
        return key

    joined = JoinedReads(read)
    keys = [b"a", b"b", b"a"]
    assert await asyncio.gather(*map(joined.get, keys)) == keys
    assert sorted(asked) == [b"a", b"b"]
    for number in range(3000):
        if number % 100 == 0:
            assert await joined.get(str(number).encode()) == str(number).encode()
