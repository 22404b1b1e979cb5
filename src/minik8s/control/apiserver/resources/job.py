"""Job: pods that run until enough of them have succeeded."""

from typing import Any

from minik8s.api.batch_v1 import Job
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.causes import immutable
from minik8s.control.apiserver.duration import age, human, seconds_of
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells
from minik8s.control.apiserver.resources.jobspec import validate_job_selector, validate_job_spec
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_selected
from minik8s.control.apiserver.resources.status import keep_status

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
_BACKOFF_LIMIT = 6
_INT32_MAX = 2**31 - 1
# Of the template of a suspended Job, what says where its pods go may still change.
_SCHEDULING = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _default(job: Document) -> None:
    spec = job.setdefault("spec", {})
    default_template(spec)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _INT32_MAX if "backoffLimitPerIndex" in spec else _BACKOFF_LIMIT)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for condition in rule.get("onPodConditions", ()):
            condition["status"] = condition.get("status") or "True"
    if (labels := spec["template"]["metadata"].get("labels")) and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def _prepare_create(job: Document) -> None:
    job["status"] = {}
    spec = job.setdefault("spec", {})
    if spec.get("manualSelector"):
        return
    # The server alone knows who the Job is, so it says by what its pods are known.
    uid, name = job["metadata"].get("uid", ""), job["metadata"].get("name", "")
    labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    for key, value in (("controller-uid", uid), ("job-name", name), (UID_LABEL, uid), (NAME_LABEL, name)):
        labels.setdefault(key, value)
    spec.setdefault("selector", {}).setdefault("matchLabels", {})[UID_LABEL] = uid


def _validate(job: Document) -> list[Cause]:
    spec = job["spec"]
    found = validate_job_selector(spec, "spec") + validate_job_spec(spec, "spec")
    return found + validate_selected(spec["template"], spec.get("selector"), "spec.template")


def _validate_update(new: Document, old: Document) -> list[Cause]:
    spec, before = new["spec"], old.get("spec", {})
    found = []
    follows = spec.get("completions") == spec.get("parallelism")  # An indexed Job may grow and shrink with both.
    if not (spec["completionMode"] == "Indexed" and follows):
        found += immutable("spec.completions", spec.get("completions"), before.get("completions"))
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"):
        found += immutable(f"spec.{field}", spec.get(field), before.get(field))
    template, old_template = spec["template"], before.get("template", {})
    if before.get("suspend") and "startTime" not in old.get("status", {}):
        template, old_template = _unscheduled(template), _unscheduled(old_template)
    return found + immutable("spec.template", template, old_template)


def _unscheduled(template: Document) -> Document:
    """A template without what may change while the Job is suspended."""
    spec = {key: value for key, value in template.get("spec", {}).items() if key not in _SCHEDULING}
    return {"spec": spec}


def _status_word(job: Document) -> str:
    true = [item["type"] for item in job.get("status", {}).get("conditions", ()) if item["status"] == "True"]
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in true:
            return word
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if kind in true:
            return kind
    return "Running"


def _completions(job: Document) -> str:
    spec, done = job.get("spec", {}), job.get("status", {}).get("succeeded", 0)
    if "completions" in spec:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Document, now_s: float) -> str:
    status = job.get("status", {})
    if not status.get("startTime"):
        return ""
    end_s = seconds_of(status["completionTime"]) if status.get("completionTime") else now_s
    return human(end_s - seconds_of(status["startTime"]))


def _row(job: Document, now_s: float) -> list[Any]:
    spec = job.get("spec", {})
    return [
        job["metadata"]["name"],
        _status_word(job),
        _completions(job),
        _duration(job, now_s),
        age(job, now_s),
        *template_cells(spec.get("template", {})),
        format_label_selector(spec.get("selector")),
    ]


def _fields(job: Document) -> dict[str, str]:
    return {"status.successful": str(job.get("status", {}).get("succeeded", 0))}


JOBS = Resource(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    namespaced=True,
    model=Job,
    storage_prefix="jobs",
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Status", description="What the job is doing, in a word."),
        Column("Completions", description="Successful pods of wanted ones."),
        Column("Duration", description="How long it took, or has run."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("status.successful",),
)
