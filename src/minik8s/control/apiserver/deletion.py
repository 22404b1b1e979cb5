"""What deleting an object does to it: pure decisions, taken from the object and the DeleteOptions.

Called by `pipeline`. Without finalizers and grace an object goes at once; otherwise it is marked (deletionTimestamp),
which cannot be undone, and goes when its grace is over (for pods: when the kubelet says so, with a grace of 0) and its
last finalizer is removed. As k8s.io/apiserver/pkg/registry/rest BeforeDelete and the store's deletion rules.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.request import Request
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.tree import copied

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
# Kinds whose dependents stay unless the client says otherwise: from before there was a garbage collector.
_ORPHANING = frozenset(("Job", "ReplicationController"))
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_POLICIES = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}


class Preconditions(msgspec.Struct):
    """What must still be true of the object."""

    uid: str | None = None
    resourceVersion: str | None = None


class Options(msgspec.Struct):
    """metav1.DeleteOptions."""

    kind: str = ""
    apiVersion: str = ""
    gracePeriodSeconds: int | None = None
    preconditions: Preconditions | None = None
    propagationPolicy: str | None = None
    orphanDependents: bool | None = None
    dryRun: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to write: nothing (`document` is as it was), a marked object, or its removal."""

    document: Document
    is_gone: bool = False
    is_changed: bool = False


def parse_options(request: Request) -> Options:
    """The options of a request: its body, or else its query. Raises StatusError BadRequest, Invalid."""
    if request.body:
        try:
            options = msgspec.json.decode(request.body, type=Options)
        except msgspec.DecodeError as error:
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type DeleteOptions): {error}"
            ) from None
    else:
        options = _options_of_query(request)
    if options.propagationPolicy is not None and options.orphanDependents is not None:
        raise _invalid("propagationPolicy", "orphanDependents and deletionPropagation cannot be both set")
    if options.propagationPolicy not in (None, *_POLICIES):
        known = '"Foreground", "Background", "Orphan", "nil"'
        raise _unsupported("propagationPolicy", options.propagationPolicy or "", known)
    for value in options.dryRun or ():
        if value != "All":
            raise _unsupported("dryRun", value, '"All"')
    return options


def _options_of_query(request: Request) -> Options:
    query = request.query
    grace = query.get("gracePeriodSeconds")
    if grace is not None and not grace.removeprefix("-").isdigit():
        raise errors.bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax')
    orphan = query.get("orphanDependents")
    return Options(
        gracePeriodSeconds=int(grace) if grace is not None else None,
        propagationPolicy=query.get("propagationPolicy"),
        orphanDependents=None if orphan is None else orphan in ("1", "true"),
    )


def warnings_of(resource: Resource, options: Options) -> list[str]:
    """What a client that asked for a deletion may not have meant."""
    is_silent = options.propagationPolicy is None and options.orphanDependents is None
    return [_JOB_WARNING] if resource.kind == "Job" and is_silent else []


def is_only_accepted(options: Options) -> bool:
    """Whether a deletion that has only begun is answered by 202: as upstream, of clients that asked in the old way."""
    return options.orphanDependents is False


def check_preconditions(resource: Resource, document: Document, options: Options) -> None:
    """Raises StatusError Conflict if the object is not the one that was meant."""
    wanted, metadata = options.preconditions, document["metadata"]
    if wanted is None:
        return
    if wanted.uid is not None and wanted.uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(resource.kind, resource.group, metadata["name"], why)
    if wanted.resourceVersion is not None and wanted.resourceVersion != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({wanted.resourceVersion}) does not match the ResourceVersion "
            f"in record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise errors.conflict(resource.kind, resource.group, metadata["name"], why)


def delete(resource: Resource, document: Document, options: Options, now_s: float) -> Verdict:
    """What a DELETE makes of the object."""
    if "deletionTimestamp" not in document["metadata"]:
        document = copied(document)
        resource.prepare_delete(document)
    metadata = document["metadata"]
    grace_s = _grace_s(resource, document, options)
    finalizers = _finalizers_after(resource.kind, metadata.get("finalizers") or [], options)
    is_deleting = "deletionTimestamp" in metadata
    if not finalizers and not _spec_finalizers(resource, document):
        if grace_s == 0:
            return Verdict(_last_state(resource, document, now_s), is_gone=True)
        if is_deleting and grace_s >= metadata.get("deletionGracePeriodSeconds", 0):
            return Verdict(document)
    marked = copied(document)
    marked["metadata"]["finalizers"] = finalizers
    if not finalizers:
        del marked["metadata"]["finalizers"]
    if not is_deleting:
        _mark(marked, now_s, grace_s)
        if resource.kind == "Namespace":
            del marked["metadata"]["deletionGracePeriodSeconds"]  # As upstream, whose namespaces know no grace.
    elif grace_s < metadata.get("deletionGracePeriodSeconds", 0):
        # Grace only ever shrinks: the end moves from the first mark's grace to this one.
        marked_s = _seconds(metadata["deletionTimestamp"]) - metadata["deletionGracePeriodSeconds"]
        marked["metadata"]["deletionTimestamp"] = _timestamp(marked_s + grace_s)
        marked["metadata"]["deletionGracePeriodSeconds"] = grace_s
    if resource.kind == "Namespace":
        marked.setdefault("status", {})["phase"] = "Terminating"
    return Verdict(marked, is_changed=not is_deleting or marked != document)


def is_finished(resource: Resource, document: Document) -> bool:
    """Whether a marked object has nothing left to wait for, so that the write of it removes it."""
    metadata = document["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not _spec_finalizers(resource, document)
    )


def _last_state(resource: Resource, document: Document, now_s: float) -> Document:
    """What a DELETE answers of an object that goes at once: as upstream, a pod is marked even then."""
    if resource.kind != "Pod" or "deletionTimestamp" in document["metadata"]:
        return document
    gone = copied(document)
    _mark(gone, now_s, 0)
    return gone


def _mark(document: Document, now_s: float, grace_s: int) -> None:
    metadata = document["metadata"]
    metadata["deletionTimestamp"] = _timestamp(now_s + grace_s)
    metadata["deletionGracePeriodSeconds"] = grace_s
    if "generation" in metadata:
        metadata["generation"] += 1


def _grace_s(resource: Resource, document: Document, options: Options) -> int:
    """Only pods have grace: time to stop, and only where something may be running."""
    if resource.kind != "Pod":
        return 0
    spec, status = document.get("spec", {}), document.get("status", {})
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    asked = options.gracePeriodSeconds
    grace_s = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    return 1 if grace_s < 0 else grace_s  # as upstream: a negative grace is the shortest one


def _finalizers_after(kind: str, finalizers: list[str], options: Options) -> list[str]:
    """The object's finalizers as the propagation policy wants them."""
    if options.orphanDependents is not None:
        policy = "Orphan" if options.orphanDependents else "Background"
    elif options.propagationPolicy is not None:
        policy = options.propagationPolicy
    elif kind in _ORPHANING and ORPHAN not in finalizers and FOREGROUND not in finalizers:
        policy = "Orphan"
    else:
        return list(finalizers)
    wanted = _POLICIES[policy]
    kept = [name for name in finalizers if name not in (ORPHAN, FOREGROUND) or name == wanted]
    return [*kept, wanted] if wanted and wanted not in kept else kept


def _spec_finalizers(resource: Resource, document: Document) -> list[str]:
    return document.get("spec", {}).get("finalizers") or [] if resource.kind == "Namespace" else []


def _invalid(field: str, why: str) -> Exception:
    cause = errors.Cause("FieldValueInvalid", f"Invalid value: {why}", field)
    return errors.invalid("DeleteOptions", "meta.k8s.io", "", [cause])


def _unsupported(field: str, value: str, known: str) -> Exception:
    message = f"Unsupported value: {json.dumps(value)}: supported values: {known}"
    return errors.invalid("DeleteOptions", "meta.k8s.io", "", [errors.Cause("FieldValueNotSupported", message, field)])


def _timestamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: Any) -> float:
    return datetime.fromisoformat(text).timestamp()
