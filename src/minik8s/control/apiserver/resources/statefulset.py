"""StatefulSet: pods with a name and storage of their own, in order."""

from typing import Any

from minik8s.api.apps_v1 import StatefulSet
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, not_negative, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.persistentvolumeclaim import default_claim_spec
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_workload
from minik8s.control.apiserver.resources.share import is_zero, validate_share
from minik8s.control.apiserver.resources.status import keep_status

_MAY_CHANGE = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)
_ONLY = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_RETENTION = ("whenDeleted", "whenScaled")


def _default(statefulset: Document) -> None:
    spec = statefulset.setdefault("spec", {})
    default_template(spec)
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for name in _RETENTION:
        retention[name] = retention.get(name) or "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates", ()):
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        claim.setdefault("metadata", {})
        default_claim_spec(claim.setdefault("spec", {}))
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def _prepare_create(statefulset: Document) -> None:
    statefulset["status"] = {"replicas": 0, "availableReplicas": 0}


def _validate(statefulset: Document) -> list[Cause]:
    spec = statefulset["spec"]
    policy = spec["podManagementPolicy"]
    found = one_of("spec.podManagementPolicy", policy, ("OrderedReady", "Parallel"))
    found += _validate_strategy(spec["updateStrategy"], "spec.updateStrategy")
    for name in _RETENTION:
        path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
        found += one_of(path, spec["persistentVolumeClaimRetentionPolicy"][name], ("Delete", "Retain"))
    found += not_negative("spec.ordinals.start", spec.get("ordinals", {}).get("start", 0))
    found += not_negative("spec.revisionHistoryLimit", spec["revisionHistoryLimit"])
    # The claims become volumes of each pod, which containers may mount: they count as volumes of the template.
    mounted = [{"name": claim["metadata"].get("name", ""), "emptyDir": {}} for claim in _claims(spec)]
    template = spec["template"]
    pod = template["spec"] | {"volumes": [*_others(template["spec"], mounted), *mounted]}
    return found + validate_workload(spec | {"template": template | {"spec": pod}}, owner="StatefulSet")


def _claims(spec: Document) -> list[Document]:
    claims: list[Document] = spec.get("volumeClaimTemplates", [])
    return claims


def _others(pod: Document, mounted: list[Document]) -> list[Document]:
    names = {volume["name"] for volume in mounted}
    return [volume for volume in pod.get("volumes", ()) if volume.get("name") not in names]


def _validate_strategy(strategy: Document, path: str) -> list[Cause]:
    kind = strategy["type"]
    if not kind:
        return [required(f"{path}.type")]
    found = one_of(f"{path}.type", kind, ("OnDelete", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        found += not_negative(f"{path}.rollingUpdate.partition", rolling.get("partition", 0))
        if "maxUnavailable" in rolling:
            share = rolling["maxUnavailable"]
            found += validate_share(share, f"{path}.rollingUpdate.maxUnavailable", limit=100)
            if is_zero(share):
                found.append(forbidden(f"{path}.rollingUpdate.maxUnavailable", "cannot be 0"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    spec, before = new["spec"], old.get("spec", {})
    fixed = (spec.keys() | before.keys()) - _MAY_CHANGE
    if any(spec.get(name) != before.get(name) for name in fixed):
        return [forbidden("spec", _ONLY)]
    return []


def _row(statefulset: Document, now_s: float) -> list[Any]:
    spec, status = statefulset.get("spec", {}), statefulset.get("status", {})
    return [
        statefulset["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        age(statefulset, now_s),
        *template_cells(spec.get("template", {})),
    ]


STATEFULSETS = Resource(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    namespaced=True,
    model=StatefulSet,
    storage_prefix="statefulsets",
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(NAME, Column("Ready", description="Ready pods of wanted ones."), AGE, CONTAINERS, IMAGES),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
