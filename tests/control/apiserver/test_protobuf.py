"""Protobuf bodies: what Go's clients send means the same as JSON; bad bytes are a 400."""

import json
import random

import pytest

from control.apiserver.protobuf_encoder import encode, envelope, field, message, one, varint
from control.apiserver.resources.kinds import KINDS
from control.apiserver.seeds import SEEDS
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.protobuf import MAGIC, is_protobuf, to_json

WITH_RAW = {"ControllerRevision"}  # Documents within documents, which the encoder does not make.


def decoded(document):
    return json.loads(to_json(encode(document)))


def whole(kind):
    """A seed as it is stored: with defaults, without what a client cannot send."""
    document, _ = schema.check(SEEDS[kind] | {"metadata": {"name": "x"}}, KINDS[kind], "Strict")
    KINDS[kind].default(document)
    return document


@pytest.mark.parametrize("kind", sorted(SEEDS.keys() - WITH_RAW))
def test_every_kind_survives_the_way_through_protobuf(kind):
    document = whole(kind)
    again, warnings = schema.check(decoded(document), KINDS[kind], "Strict")
    KINDS[kind].default(again)  # A zero that Go holds by value comes as nothing and is made again.
    assert (again, warnings) == (document, [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"spec": {"replicas": 0, "minReadySeconds": 0}}, {"spec": {"replicas": 0}}),
        ({"spec": {"paused": False}}, {"spec": {}}),
        ({"metadata": {"generation": 0, "name": ""}}, {"metadata": {}}),
        ({"status": {}}, {"status": {}}),
        ({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0}}}},) * 2,
        ({"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%"}}}},) * 2,
        ({"spec": {"selector": {"matchLabels": {"": "", "a": ""}}}},) * 2,
        ({"metadata": {"creationTimestamp": "2026-11-20T10:00:00Z"}},) * 2,
        ({"metadata": {"finalizers": ["", "a"]}},) * 2,
    ],
)
def test_zeros_stay_only_where_they_mean_something(given, expected):
    head = {"kind": "Deployment", "apiVersion": "apps/v1"}
    assert decoded(head | given) == head | expected


def test_options_have_no_group_of_their_own():
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "gracePeriodSeconds": 0}
    assert decoded(options) == options


def test_a_document_within_a_document_is_json():
    raw = message({"metadata": {"name": "x"}}, "apps.v1.ControllerRevision")
    body = raw + field(2, field(1, b'{"a":[1,null]}')) + one(3, 7, "int64")
    made = json.loads(to_json(envelope("apps/v1", "ControllerRevision", body)))
    assert (made["data"], made["revision"]) == ({"a": [1, None]}, 7)
    with pytest.raises(StatusError, match="unrecognized"):
        to_json(envelope("apps/v1", "ControllerRevision", field(2, field(1, b"{"))))


def test_numbers_may_be_packed_and_negative():
    packed = field(1, field(4, b"".join(map(varint, (1, 2, (1 << 64) - 3)))))
    body = field(2, field(14, packed[2:]))
    made = json.loads(to_json(envelope("v1", "Pod", body)))
    assert made["spec"]["securityContext"]["supplementalGroups"] == [1, 2, -3]


def test_fields_from_the_future_are_skipped():
    raw = field(500, b"abc") + varint(501 << 3) + varint(7) + varint(502 << 3 | 1) + b"12345678"
    assert json.loads(to_json(envelope("v1", "ConfigMap", raw))) == {"kind": "ConfigMap", "apiVersion": "v1"}


def test_json_in_an_envelope_is_json():
    body = MAGIC + field(2, b'{"a":1}') + field(4, b"application/json")
    assert to_json(body) == b'{"a":1}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        MAGIC,
        MAGIC + b"\x0a",
        envelope("v1", "Nothing", b""),
        envelope("v1", "ConfigMap", b"\x0a\x7f"),
        envelope("v1", "ConfigMap", b"\x00"),
        envelope("v1", "ConfigMap", b"\x0b"),
        envelope("v1", "ConfigMap", b"\x08\x01"),
        envelope("v1", "ConfigMap", b"\xff" * 11),
        envelope("v1", "ConfigMap", field(1, field(1, b"\xff"))),
        envelope("v1", "ConfigMap", field(1, field(8, one(1, 1 << 62, "int64")))),
        MAGIC + field(2, b"") + field(3, b"gzip"),
    ],
    ids=range(13),
)
def test_bad_bytes_are_a_bad_request(body):
    with pytest.raises(StatusError) as caught:
        to_json(body)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


def test_messages_however_deep_are_answered():
    raw = b""
    for _ in range(2000):
        raw = field(28, raw)  # `not`
    schema_ = field(2, field(7, field(1, b"v1") + field(4, field(1, raw))))
    with pytest.raises(StatusError, match="max depth"):
        to_json(envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", schema_))


def test_random_damage_is_refused_or_decoded():
    rng = random.Random(5)
    bodies = [encode(whole(kind)) for kind in sorted(SEEDS.keys() - WITH_RAW)]
    for _ in range(3000):
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.randint(1, 6)):
            match rng.randrange(3):
                case 0:
                    body[rng.randrange(len(body))] = rng.randrange(256)
                case 1:
                    del body[rng.randrange(len(body)) :]
                case 2:
                    body.insert(rng.randrange(len(body) + 1), rng.randrange(256))
            if not body:
                break
        try:
            json.loads(to_json(bytes(body)))
        except StatusError as error:
            assert error.code == 400


def test_the_media_type_may_have_parameters_and_capitals():
    assert is_protobuf("Application/vnd.kubernetes.protobuf;type=watch")
    assert not is_protobuf("application/json")
