"""What the server does to metadata: pure rules for creating and updating any object.

Called by `pipeline`. Nobody else mints uid, creationTimestamp and generation. As k8s.io/apiserver BeforeCreate and
BeforeUpdate.
"""

import json
import random

from minik8s.api import errors
from minik8s.api.errors import Cause
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.objectmeta import validate_metadata
from minik8s.kit import ids

# Kinds whose generation upstream leaves unset.
_WITHOUT_GENERATION = frozenset(
    [
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "ControllerRevision",
        "CSIDriver",
        "CSINode",
        "Endpoints",
        "Event",
        "HorizontalPodAutoscaler",
        "Lease",
        "LimitRange",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "RuntimeClass",
        "Secret",
        "Service",
        "ServiceAccount",
        "StorageClass",
        "VolumeAttachment",
    ]
)
_EXTENSION_GROUPS = ("apiextensions.k8s.io", "apiregistration.k8s.io")
_NAME_MAX = 253
_SUFFIX_LENGTH = 5
_COLLECTIONS = ("labels", "annotations", "finalizers", "ownerReferences")
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def place(resource: Resource, document: Document, *, namespace: str, name: str) -> None:
    """Set what the URL says, which the document may repeat but not contradict. Raises StatusError BadRequest."""
    metadata = document["metadata"]
    if name and metadata.setdefault("name", name) != name:
        given = metadata["name"]
        raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    if not resource.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def stamp(resource: Resource, document: Document, *, now: str, rng: random.Random) -> None:
    """Make a document one that begins to exist: identity, time, a name if it asks for one."""
    metadata = document["metadata"]
    for name in (*_SERVER_OWNED, "resourceVersion", "selfLink"):
        metadata.pop(name, None)
    if prefix := metadata.get("generateName"):
        metadata.setdefault("name", prefix[: 63 - _SUFFIX_LENGTH] + ids.new_suffix(rng, _SUFFIX_LENGTH))
    metadata["uid"] = ids.new_uuid(rng)
    metadata["creationTimestamp"] = now
    if resource.kind not in _WITHOUT_GENERATION:
        metadata["generation"] = 1


def carry_over(resource: Resource, new: Document, old: Document) -> None:
    """Keep what a client cannot change. Raises StatusError Conflict, if it is about another version of the object."""
    given, kept = new["metadata"], old["metadata"]
    if given.get("uid") and given["uid"] != kept["uid"]:
        why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {kept['uid']}"
        raise errors.conflict(resource.plural, resource.group, kept["name"], why)
    if given.get("resourceVersion") not in (None, "", kept["resourceVersion"]):
        raise errors.conflict(resource.plural, resource.group, kept["name"])
    given.pop("selfLink", None)
    for name in (*_SERVER_OWNED, "resourceVersion", "generateName"):
        if name in kept:
            given[name] = kept[name]
        elif name != "generateName":
            given.pop(name, None)


def must_be_conditional(resource: Resource, name: str) -> errors.StatusError:
    """422 for a replacement that says no resourceVersion, where upstream demands one: of custom objects."""
    why = "Invalid value: 0x0: must be specified for an update"
    return errors.invalid(
        resource.kind, resource.group, name, [Cause("FieldValueInvalid", why, "metadata.resourceVersion")]
    )


def no_name_left(resource: Resource, prefix: str) -> errors.StatusError:
    """409 for a generateName whose names were all taken that we tried; another try may well find one."""
    what = errors.qualified(resource.plural, resource.group)
    why = "already exists, the server was not able to generate a unique name for the object"
    return errors.StatusError(
        "AlreadyExists",
        f"{what} {json.dumps(prefix)} {why}",
        group=resource.group,
        kind=resource.plural,
        name=prefix,
        retry_after_s=1,
    )


def drop_empty(document: Document) -> None:
    """Leave out what is empty, as upstream's encoder does."""
    metadata = document["metadata"]
    for name in [name for name in _COLLECTIONS if name in metadata and not metadata[name]]:
        del metadata[name]


def bump_generation(new: Document, old: Document) -> None:
    """Count a change of what is wanted: anything but metadata and status."""
    if "generation" in old["metadata"] and _wanted(new) != _wanted(old):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def faults(resource: Resource, document: Document, old: Document | None) -> list[Cause]:
    """What is wrong with metadata: its syntax, the name, the finalizers of an object that is being deleted."""
    metadata = document["metadata"]
    name = metadata.get("name")
    if not name:
        return [Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")]
    is_extension = resource.custom is not None or resource.group in _EXTENSION_GROUPS
    found = validate_metadata(metadata, is_builtin=not is_extension)
    if old is None and (why := resource.validate_name(name)):
        found.append(Cause("FieldValueInvalid", f"Invalid value: {json.dumps(name)}: {why}", "metadata.name"))
    if old is not None and "deletionTimestamp" in old["metadata"]:
        before = old["metadata"].get("finalizers") or []
        if added := [each for each in metadata.get("finalizers") or [] if each not in before]:
            listed = ", ".join(json.dumps(each) for each in added)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            message = f"Forbidden: {why} []string{{{listed}}}"
            found.append(Cause("FieldValueForbidden", message, "metadata.finalizers"))
    return found


def _wanted(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in ("metadata", "status")}
