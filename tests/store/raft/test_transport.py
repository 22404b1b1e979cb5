"""Links between members: who is let in, and what happens to the rest."""

import asyncio
import dataclasses
import random
import ssl

import pytest
import uvloop

from minik8s.kit import tls
from minik8s.kit.run import StartError
from minik8s.store.raft.messages import Confirm, Hello, encode
from minik8s.store.raft.transport import PROTOCOL_VERSION, SocketNetwork
from store.raft.members import configs, until


class Inbox:
    """Notes what a network tells."""

    def __init__(self):
        self.peers, self.messages, self.log = set(), [], []
        self.blank, self.ran, self.lost = False, set(), []

    def on_connected(self, peer):
        self.peers.add(peer)
        self.log.append(("up", peer))

    def on_disconnected(self, peer):
        self.peers.discard(peer)
        self.log.append(("down", peer))

    def on_message(self, peer, message):
        self.messages.append((peer, message))

    def is_blank(self):
        return self.blank

    def has_run(self, peer):
        return peer in self.ran

    def on_data_lost(self, peer):
        self.lost.append(peer)


class Net:
    """A network that runs within `async with`."""

    def __init__(self, config):
        self.config = config
        self.inbox = Inbox()
        self.network = SocketNetwork(config, random.Random(1))

    async def __aenter__(self):
        self.task = asyncio.ensure_future(self.network.run(self.inbox))
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.wait([self.task])


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def plain(config):
    return dataclasses.replace(config, identity=None)


async def dial(config):
    """A raw connection to a member, once it listens."""
    while True:
        try:
            return await asyncio.open_connection(*config.listen)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


async def is_closed(reader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) is not None
    except ConnectionError:
        return True


def run(scenario):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(scenario, 20))


def test_members_meet_and_talk_both_ways(tmp_path):
    async def scenario():
        both = configs(tmp_path, "ab")
        async with Net(both["a"]) as a, Net(both["b"]) as b:
            await until(lambda: a.inbox.peers and b.inbox.peers)
            a.network.send("b", Confirm(1, 2))
            b.network.send("a", Confirm(3, 4))
            await until(lambda: a.inbox.messages and b.inbox.messages)
            assert b.inbox.messages == [("a", Confirm(1, 2))]
            assert a.inbox.messages == [("b", Confirm(3, 4))]

    run(scenario())


def test_a_member_that_comes_back_is_met_again_soon(tmp_path):
    async def scenario():
        both = configs(tmp_path, "ab")
        async with Net(both["a"]) as a:
            async with Net(both["b"]):
                await until(lambda: a.inbox.peers)
            await until(lambda: not a.inbox.peers)
            async with Net(both["b"]):
                await until(lambda: a.inbox.peers, 2)

    run(scenario())


@pytest.mark.parametrize("wrong", ["authority", "name", "token", "no certificate"])
def test_a_stranger_is_not_let_in(tmp_path, wrong):
    async def scenario():
        both = configs(tmp_path, "ab")
        stranger = both["a"]
        match wrong:
            case "authority":
                other = tls.Authority(tmp_path / "other").issue("a", user="a")
                stranger = dataclasses.replace(stranger, identity=other)
            case "name":
                other = tls.Authority(tmp_path / "ca").issue("mallory", user="mallory")
                stranger = dataclasses.replace(stranger, identity=other)
            case "token":
                stranger = dataclasses.replace(stranger, cluster_token="another")
            case "no certificate":
                stranger = plain(stranger)
        async with Net(stranger) as a, Net(both["b"]) as b:
            await asyncio.sleep(0.4)
            assert not b.inbox.log
            assert not a.inbox.log

    run(scenario())


@pytest.mark.parametrize("blank", ["a", "b"], ids=["who dials", "who is dialled"])
def test_a_member_that_lost_its_data_is_told_and_not_let_in(tmp_path, blank):
    async def scenario():
        both = configs(tmp_path, "ab")
        async with Net(both["a"]) as a, Net(both["b"]) as b:
            forgetful, other = (a, b) if blank == "a" else (b, a)
            forgetful.inbox.blank, other.inbox.ran = True, {blank}
            await until(lambda: forgetful.inbox.lost)
            assert not a.inbox.log
            assert not b.inbox.log

    run(scenario())


HELLO = Hello(PROTOCOL_VERSION, "", "a", "b")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xff\xff\xff", "a frame larger than a Hello may be, before its bytes"),
        (frame(b"\xc1garbage"), "not msgpack"),
        (frame(encode(Confirm(1, 1))), "no Hello first"),
        (frame(encode(Hello(PROTOCOL_VERSION + 1, "", "a", "b"))), "another version"),
        (frame(encode(Hello(PROTOCOL_VERSION, "", "x", "b"))), "not a member"),
        (frame(encode(Hello(PROTOCOL_VERSION, "", "a", "c"))), "meant for another"),
        (frame(encode(Hello(PROTOCOL_VERSION, "", "b", "b"))), "our own name"),
        (frame(encode(HELLO)) + frame(encode(HELLO)), "two Hellos"),
        (frame(encode(HELLO)) + (1 << 30).to_bytes(4, "little"), "a frame above the limit"),
        (frame(encode(HELLO)) + frame(b"\x92\x63\x01"), "an unknown message"),
        (frame(encode(HELLO)) + frame(b"\x93\x0b\xa1x\x01"), "a message of wrong types"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_peer_that_does_not_speak_our_language_is_cut_off(tmp_path, data, why):
    async def scenario():
        config = plain(configs(tmp_path, "ab")["b"])
        async with Net(config) as b:
            reader, writer = await dial(config)
            writer.write(data)
            assert await is_closed(reader)
            assert not b.inbox.messages
            writer.close()

    run(scenario())


def test_who_says_nothing_is_cut_off_and_others_get_in(tmp_path):
    async def scenario():
        both = configs(tmp_path, "ab", secure=False, hello_timeout_s=0.3, max_strangers=4)
        async with Net(both["b"]) as b:
            silent = [await dial(both["b"]) for _ in range(20)]
            for reader, _ in silent:
                assert await is_closed(reader)
            async with Net(both["a"]):
                await until(lambda: b.inbox.peers)
            for _, writer in silent:
                writer.close()

    run(scenario())


def test_a_newer_connection_replaces_an_older(tmp_path):
    async def scenario():
        config = plain(configs(tmp_path, "ab")["b"])
        async with Net(config) as b:
            first, _w1 = await dial(config)
            _w1.write(frame(encode(HELLO)))
            await until(lambda: b.inbox.log == [("up", "a")])
            _second, w2 = await dial(config)
            w2.write(frame(encode(HELLO)))
            await until(lambda: b.inbox.log == [("up", "a"), ("down", "a"), ("up", "a")])
            assert await is_closed(first)
            w2.close()

    run(scenario())


def test_a_port_in_use_is_a_start_error(tmp_path):
    async def scenario():
        both = configs(tmp_path, "ab")
        async with Net(both["b"]):
            await dial(both["b"])
            with pytest.raises(StartError, match=r"cannot listen for peers on 127\.0\.0\.1"):
                await SocketNetwork(both["b"], random.Random(1)).run(Inbox())

    run(scenario())


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_bad_certificate_files_are_a_start_error(tmp_path, damage):
    config = configs(tmp_path, "ab")["b"]
    if damage == "missing":
        config.identity.key_file.unlink()
    else:
        config.identity.cert_file.write_text("x")
    with pytest.raises(StartError, match="cannot use the peer certificate files"):
        asyncio.run(SocketNetwork(config, random.Random(1)).run(Inbox()))


def test_only_the_newest_tls_is_spoken(tmp_path):
    async def scenario():
        both = configs(tmp_path, "ab")
        async with Net(both["b"]):
            await dial(both["b"])
            context = tls.client_context(both["a"].identity)
            context.check_hostname = False
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(*both["b"].listen, ssl=context)

    run(scenario())
