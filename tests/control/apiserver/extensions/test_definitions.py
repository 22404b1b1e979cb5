"""What is said of definitions that cannot be, in upstream's words; and which names they get."""

import copy

import pytest

from control.apiserver.extensions.samples import CRDS, SCHEMA, call, define, definition, version
from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import openapi
from minik8s.control.apiserver.extensions import naming, pruning, structural, validation
from minik8s.control.apiserver.extensions.schemacheck import check_schema
from minik8s.control.apiserver.resources import ALL
from minik8s.control.apiserver.resources.customresourcedefinition import CUSTOMRESOURCEDEFINITIONS

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def faults(document):
    document = copy.deepcopy(document)
    CUSTOMRESOURCEDEFINITIONS.prepare_create(document)
    CUSTOMRESOURCEDEFINITIONS.default(document)
    return [f"{cause.field}: {cause.message}" for cause in CUSTOMRESOURCEDEFINITIONS.validate(document)]


def named(**names):
    made = definition()
    made["spec"]["names"] |= names
    return made


def of(schema, **more):
    return {"type": "object", "properties": {"spec": schema}} | more


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (definition(), []),
        (
            definition() | {"metadata": {"name": "x"}},
            ['metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group'],
        ),
        (
            definition(scope="Town"),
            ['spec.scope: Unsupported value: "Town": supported values: "Cluster", "Namespaced"'],
        ),
        (
            definition(version(), version()),
            [
                "spec.versions: Invalid value: ",
                "must contain unique version names",
                "must have exactly one version marked",
            ],
        ),
        (definition(version(storage=False)), ["must have exactly one version marked as storage version"]),
        (
            definition(version() | {"schema": None}),
            ["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are"],
        ),
        (named(kind="Gadget", listKind="Gadget"), ["kind and listKind may not be the same"]),
        (named(shortNames=["A"]), ["spec.names.shortNames[0]: Invalid value"]),
        (
            definition(preserveUnknownFields=True),
            ["spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve"],
        ),
        (
            definition(conversion={"strategy": "Webhook"}),
            ["spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook"],
        ),
        (
            definition(version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": "spec"}])),
            [
                "must be one of boolean,date,integer,number,string",
                "spec.versions[0].additionalPrinterColumns[0].jsonPath: Invalid value",
            ],
        ),
        (
            definition(version(subresources={"scale": {"specReplicasPath": ".count", "statusReplicasPath": ""}})),
            ["should be a json path under .spec", "statusReplicasPath: Required value"],
        ),
        (definition(version(deprecationWarning="old")), ["can only be set for deprecated versions"]),
        (
            definition(version(selectableFields=[{"jsonPath": ".spec.labels"}, {"jsonPath": ".spec.none"}])),
            ["must point to a field of type string, boolean or integer", "does not refer to a valid field"],
        ),
    ],
)
def test_a_definition_is_judged(document, told):
    found = faults(document)
    for text in told:
        assert any(text in fault for fault in found), (text, found)
    assert bool(found) == bool(told), found


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (of({"type": "object"}), []),
        (of({}), "properties[spec].type: Required value: must not be empty for specified object fields"),
        ({"properties": {}}, "schema.type: Required value: must not be empty at the root"),
        ({"type": "array", "items": TEXT}, 'schema.type: Invalid value: "array": must be object at the root'),
        (of({"type": "array"}), "properties[spec].items: Required value: must be specified"),
        (of({"type": "array", "items": {}}), "items.type: Required value: must not be empty for specified array items"),
        (of({"type": "text"}), 'Unsupported value: "text": supported values: "array", "boolean"'),
        (of({"type": "null"}), "type cannot be set to null, use nullable as an alternative"),
        (of(TEXT | {"$ref": "x"}), "properties[spec].$ref: Forbidden: $ref is not supported"),
        (of({"type": "array", "items": TEXT, "uniqueItems": True}), "uniqueItems cannot be set to true"),
        (of(TEXT | {"pattern": "("}), "properties[spec].pattern: Invalid value"),
        (of(TEXT | {"pattern": "a(?=b)"}), "properties[spec].pattern: Invalid value"),
        (
            of({"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}),
            "additionalProperties and properties are mutual exclusive",
        ),
        (of(TEXT | {"x-kubernetes-preserve-unknown-fields": False}), "must be true or undefined"),
        (
            of({"x-kubernetes-int-or-string": True, "type": "string"}),
            "must be empty if x-kubernetes-int-or-string is true",
        ),
        (
            of({"type": "object", "allOf": [{"type": "object"}]}),
            "allOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            of({"type": "object", "anyOf": [{"properties": {"a": {"minimum": 1}}}]}),
            "properties[spec].properties[a]: Required value: because it is defined in schema.properties[spec].anyOf[0]",
        ),
        (
            of({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
            "x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            of(
                {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": TEXT}},
                }
            ),
            "items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it",
        ),
        (
            of({"type": "object", "x-kubernetes-embedded-resource": True}),
            "without x-kubernetes-preserve-unknown-fields",
        ),
        (
            {
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            },
            "properties[metadata]: Forbidden: must not specify anything other than name and generateName",
        ),
        (
            of(NUMBER | {"default": "x"}),
            'default: Invalid value: "string": schema.properties[spec].default in body must be of',
        ),
        (of({"type": "object", "default": {"b": 1}}), 'default: Invalid value: {"b":1}: must not have unknown fields'),
        (of(NUMBER | {"x-kubernetes-validations": [{"rule": "self >"}]}), "rule: Invalid value"),
        (of(NUMBER | {"x-kubernetes-validations": [{"rule": "self + 1"}]}), "must evaluate to a bool"),
        (of(NUMBER | {"x-kubernetes-validations": [{"rule": "self.a"}]}), "compilation failed: ERROR: <input>:1"),
        (
            of({"type": "array", "items": NUMBER | {"x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}),
            "oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[spec]",
        ),
        (of(TEXT, nullable=True), "schema.nullable: Forbidden: nullable cannot be true at the root"),
    ],
)
def test_a_schema_must_be_structural(schema, told):
    found = [f"{cause.field}: {cause.message}" for cause in check_schema(schema, "schema", has_status=False)]
    assert bool(found) == bool(told), found
    if told:
        assert any(told in fault for fault in found), found


def test_a_schema_as_generators_write_it_is_structural():
    """A pod template inside, as controller-gen does: every type and keyword of the core group's own schema."""
    components = openapi.render([each for each in ALL if each.api_version == "v1"])["components"]["schemas"]

    def inlined(schema):
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name.endswith((".Quantity", ".IntOrString")):
                return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
            return {"type": "object"} if name.endswith(".ObjectMeta") else inlined(components[name])
        made = {}
        for keyword, value in schema.items():
            if keyword == "allOf":
                made |= inlined(value[0])
            elif keyword == "properties":
                made[keyword] = {name: inlined(each) for name, each in value.items()}
            elif keyword in ("items", "additionalProperties"):
                made[keyword] = inlined(value)
            elif not keyword.startswith("x-kubernetes-patch"):
                made[keyword] = value
        return made

    template = inlined({"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"})
    schema = of({"type": "object", "properties": {"template": template}})
    assert check_schema(schema, "schema", has_status=True) == []
    node = structural.build(schema)
    container = {"name": "a", "image": "i", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "what": 1}
    document = {"spec": {"template": {"spec": {"containers": [container]}}}}
    faults = []
    kept = pruning.prune(document, node, faults)
    assert faults == ['unknown field "spec.template.spec.containers[0].what"']
    assert validation.validate(kept, node) == []


def test_only_some_keywords_stand_at_the_root_beside_a_status():
    schema = SCHEMA | {"anyOf": [{"required": ["spec"]}]}
    (found,) = check_schema(schema, "schema", has_status=True)
    assert "fields are allowed at the root of the schema if the status subresource is enabled" in found.message


def accepted(name, **names):
    made = definition()
    made["metadata"]["name"] = f"{name}.example.com"
    made["spec"]["names"] = {"plural": name, "kind": name.title(), "listKind": f"{name.title()}List"} | names
    return naming.judged(made, [], "2026-11-20T00:00:00Z")


def test_names_are_given_once():
    first = accepted("gadgets", shortNames=["gd"])
    assert [each["status"] for each in first["status"]["conditions"]] == ["True", "True"]
    second = accepted("widgets", shortNames=["gd", "wd"], kind="Gadgets")
    del second["status"]
    judged = naming.judged(second, [first], "2026-11-20T00:00:00Z")
    conditions = {each["type"]: each for each in judged["status"]["conditions"]}
    assert conditions["NamesAccepted"]["reason"] == "KindConflict"
    assert conditions["NamesAccepted"]["message"] == '"Gadgets" is already in use'
    assert conditions["Established"]["reason"] == "NotAccepted"
    assert judged["status"]["acceptedNames"] == {"plural": "widgets", "kind": "", "listKind": "WidgetsList"}
    assert naming.judged(judged, [first], "2027-01-01T00:00:00Z") == judged, "a judgement stands"
    later = naming.judged(judged, [], "2027-01-01T00:00:00Z")
    assert [each["status"] for each in later["status"]["conditions"]] == ["True", "True"]


@scenario
async def test_what_is_established_keeps_its_scope():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        made = await define(handler)
        made["spec"]["scope"] = "Cluster"
        with pytest.raises(StatusError) as failure:
            await call(handler, "update", CRDS, name="gadgets.example.com", document=made)
        assert 'spec.scope: Invalid value: "Cluster": field is immutable' in failure.value.message


@scenario
async def test_unknown_keywords_of_a_schema_are_told():
    document = definition(version(schema={"openAPIV3Schema": SCHEMA | {"propertys": {}}}))
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        with pytest.raises(StatusError) as failure:
            await call(handler, "create", CRDS, document=document, query={"fieldValidation": "Strict"})
        assert 'unknown field "spec.versions[0].schema.openAPIV3Schema.propertys"' in failure.value.message
