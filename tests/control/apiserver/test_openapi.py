"""OpenAPI v3: what kubectl looks for is there, and every reference leads somewhere."""

import json
import re

import pytest

from minik8s.control.apiserver.discovery import group_path
from minik8s.control.apiserver.openapi import OpenApi
from minik8s.control.apiserver.resources import ALL

OPENAPI = OpenApi(ALL)
PATHS = tuple(dict.fromkeys(group_path(resource).lstrip("/") for resource in ALL))


def document(path):
    return json.loads(OPENAPI.document(path)[0])


def test_the_index_leads_to_documents_by_their_hash():
    index = json.loads(OPENAPI.index())["paths"]
    assert tuple(index) == PATHS
    for path in PATHS:
        assert index[path]["serverRelativeURL"] == f"/openapi/v3/{path}?hash={OPENAPI.document(path)[1]}"


def test_the_hash_is_that_of_the_content():
    assert OpenApi(ALL).document("api/v1") == OPENAPI.document("api/v1")
    assert OpenApi(ALL[:1]).document("api/v1")[1] != OPENAPI.document("api/v1")[1]
    assert OPENAPI.document("apis/nothing/v1") is None


@pytest.mark.parametrize("path", PATHS)
def test_every_reference_leads_to_a_component(path):
    body = OPENAPI.document(path)[0].decode()
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', body))
    assert references <= set(document(path)["components"]["schemas"])


@pytest.mark.parametrize("resource", [item for item in ALL if item.is_stored], ids=lambda item: item.plural)
def test_patches_say_that_the_server_validates_fields(resource):
    root = f"apis/{resource.group}/{resource.version}" if resource.group else resource.version and "api/v1"
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    patches = [item["patch"] for item in document(root)["paths"].values() if "patch" in item]
    (patch,) = [item for item in patches if item["x-kubernetes-group-version-kind"] == gvk]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def test_lists_say_how_they_merge():
    schemas = document("apis/apps/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    volumes = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"]
    assert volumes["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    strategy = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
    assert strategy["x-kubernetes-patch-strategy"] == "retainKeys"
    assert strategy["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}]


def test_fields_have_types_and_words_for_explain():
    schemas = document("api/v1")["components"]["schemas"]
    pod = schemas["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    container = schemas["io.k8s.api.core.v1.Container"]
    assert container["required"] == ["name"]
    assert container["properties"]["image"]["type"] == "string"
    assert container["properties"]["image"]["description"].startswith("Container image name.")
    grace = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["terminationGracePeriodSeconds"]
    assert (grace["type"], grace["format"]) == ("integer", "int64")
    limits = schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]
    assert limits["additionalProperties"]["$ref"].endswith("pkg.api.resource.Quantity")


def test_every_field_of_every_kind_is_described():
    bare = [
        f"{name}.{field}"
        for path in PATHS
        for name, schema in document(path)["components"]["schemas"].items()
        for field, value in schema.get("properties", {}).items()
        if not value["description"] and not name.endswith((".JSONSchemaProps", ".ExternalDocumentation"))
    ]
    # Upstream has no words for these either.
    assert set(bare) == {
        "io.k8s.api.certificates.v1.CertificateSigningRequest.metadata",
        "io.k8s.api.networking.v1.IngressRule.http",
    }
