"""Content negotiation, and documents in the shape asked for."""

import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request, WatchEvent
from minik8s.control.apiserver import rest
from minik8s.control.apiserver.resources import CONFIGMAPS

TABLE_FIRST = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
OBJECT = {
    "kind": "ConfigMap",
    "apiVersion": "v1",
    "metadata": {"name": "a", "resourceVersion": "5"},
    "data": {"k": "v"},
}
REQUEST = Request("list", "", "v1", "configmaps")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        ("application/json, */*", ""),
        ("application/vnd.kubernetes.protobuf,application/json", ""),
        (TABLE_FIRST, "Table"),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", ""),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "PartialObjectMetadata"),
        ("application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json", ""),
    ],
)
def test_the_first_acceptable_shape_is_taken(accept, form):
    assert rest.negotiate(accept).form == form


@pytest.mark.parametrize("accept", ["text/html", "application/json;as=Sculpture;v=v1;g=meta.k8s.io"])
def test_what_we_cannot_make_is_not_acceptable(accept):
    with pytest.raises(StatusError) as caught:
        rest.negotiate(accept)
    assert caught.value.code == 406


def render(form, document):
    return json.loads(rest.render(rest.Shape(form), CONFIGMAPS, REQUEST, json.dumps(document).encode(), 0.0))


def test_an_object_is_a_table_of_one_row():
    table = render("Table", OBJECT)
    assert (table["kind"], table["metadata"], len(table["rows"])) == ("Table", {"resourceVersion": "5"}, 1)
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_a_list_keeps_its_metadata_as_a_table():
    metadata = {"resourceVersion": "9", "continue": "x"}
    table = render(
        "Table", {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": [OBJECT, OBJECT]}
    )
    assert (table["metadata"], len(table["rows"])) == (metadata, 2)


def test_a_status_is_never_a_table():
    status = {"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}
    assert render("Table", status) == status


def test_metadata_alone_is_metadata_alone():
    assert "data" not in render("PartialObjectMetadata", OBJECT)


def test_a_watch_of_tables_names_the_columns_once():
    line = rest.event_renderer(rest.Shape("Table"), CONFIGMAPS, REQUEST, lambda: 0.0)
    body = json.dumps(OBJECT).encode()
    first, second = (json.loads(line(WatchEvent("ADDED", body, 5))) for _ in range(2))
    assert first["object"]["columnDefinitions"]
    assert not second["object"]["columnDefinitions"]
    assert len(second["object"]["rows"]) == 1


def test_a_failure_in_a_watch_stays_a_status():
    line = rest.event_renderer(rest.Shape("Table"), CONFIGMAPS, REQUEST, lambda: 0.0)
    assert json.loads(line(WatchEvent("ERROR", b'{"kind":"Status"}', 0)))["object"] == {"kind": "Status"}


def test_a_table_is_made_once_however_many_watch_it(monkeypatch):
    made = []
    table = rest.printers.table
    monkeypatch.setattr(rest.printers, "table", lambda *args, **more: made.append(1) or table(*args, **more))
    lines = rest.LineCache()
    watches = [rest.event_renderer(rest.Shape("Table"), CONFIGMAPS, REQUEST, lambda: 0.0, lines) for _ in range(50)]
    body = json.dumps(OBJECT).encode()
    events = [WatchEvent("ADDED", body, number) for number in range(3)]
    seen = {tuple(line(event) for event in events) for line in watches}
    assert (len(made), len(seen)) == (3, 1)
    large = b'{"metadata":{"annotations":{"a":"%b"}}}' % (b"x" * 1_000_000)
    partial = rest.event_renderer(rest.Shape("PartialObjectMetadata"), CONFIGMAPS, REQUEST, lambda: 0.0, lines)
    for number in range(10):
        partial(WatchEvent("MODIFIED", large, number))
    assert sum(len(line) for _, line in lines._lines.values()) < 4 * 1024 * 1024
