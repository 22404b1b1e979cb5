"""CustomResourceDefinition: a kind that clients bring. Its defaults, validation and columns."""

from lightkube.models.apiextensions_v1 import CustomResourceDefinition

from minik8s.control.apiserver.extensions import definitioncheck
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import CREATED_AT, NAME, created_row
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

NAMES_ACCEPTED, ESTABLISHED, TERMINATING = "NamesAccepted", "Established", "Terminating"
NON_STRUCTURAL = "NonStructuralSchema"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def condition(document: Document, type_: str) -> Document | None:
    """A condition of a definition, if it has been judged."""
    conditions = document.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == type_), None)


def has_condition(document: Document, type_: str) -> bool:
    """Whether a condition is true."""
    found = condition(document, type_)
    return found is not None and found["status"] == "True"


def _default(document: Document) -> None:
    spec = document.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        if not names.get("singular"):
            names["singular"] = names["kind"].lower()
        if not names.get("listKind"):
            names["listKind"] = f"{names['kind']}List"
    conversion = spec.setdefault("conversion", {})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"
    client = (conversion.get("webhook") or {}).get("clientConfig") or {}
    if client.get("service") is not None:
        client["service"].setdefault("port", 443)


def _prepare_create(document: Document) -> None:
    stored = [each.get("name", "") for each in document.get("spec", {}).get("versions") or () if each.get("storage")]
    names = {"plural": "", "kind": ""}
    document["status"] = {"conditions": [], "acceptedNames": names, "storedVersions": stored[:1]}


def _prepare_update(new: Document, old: Document) -> None:
    """A version that becomes the one that is stored is remembered, as there will be objects in it."""
    versions = new.get("spec", {}).get("versions") or ()
    stored = new.setdefault("status", {}).setdefault("storedVersions", [])
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            new["status"]["storedVersions"] = [*stored, version["name"]]


def _prepare_delete(document: Document) -> None:
    """As upstream: the definition stays until its objects are gone."""
    finalizers = document["metadata"].setdefault("finalizers", [])
    if CLEANUP_FINALIZER not in finalizers:
        finalizers.append(CLEANUP_FINALIZER)


CUSTOMRESOURCEDEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    namespaced=False,
    model=CustomResourceDefinition,
    storage_prefix="apiextensions.k8s.io/customresourcedefinitions",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    columns=(NAME, CREATED_AT),
    row=created_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_delete=_prepare_delete,
    validate=definitioncheck.validate,
    validate_update=definitioncheck.validate_update,
    validate_name=subdomain_name,
)
