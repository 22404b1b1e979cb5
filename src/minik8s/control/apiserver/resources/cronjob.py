"""CronJob: Jobs at the times of a schedule."""

from typing import Any

from minik8s.api.batch_v1 import CronJob
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, not_negative, one_of, required
from minik8s.control.apiserver.duration import age, since
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, NONE, SELECTOR, template_cells
from minik8s.control.apiserver.resources.cronschedule import schedule_fault
from minik8s.control.apiserver.resources.jobspec import validate_job_spec, validate_no_selector
from minik8s.control.apiserver.resources.objectmeta import subdomain_name, validate_labels
from minik8s.control.apiserver.resources.podtemplate import default_template
from minik8s.control.apiserver.resources.status import keep_status

_NAME_CHARS_MAX = 52  # The names of its Jobs have a time more.
_POLICIES = ("Allow", "Forbid", "Replace")


def _default(cronjob: Document) -> None:
    spec = cronjob.setdefault("spec", {})
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    default_template(template.setdefault("spec", {}))


def _prepare_create(cronjob: Document) -> None:
    cronjob["status"] = {}


def _validate(cronjob: Document) -> list[Cause]:
    spec = cronjob["spec"]
    found = _validate_schedule(spec.get("schedule", ""), "spec.schedule")
    if "timeZone" in spec and not spec["timeZone"]:
        found.append(invalid("spec.timeZone", "", "timeZone must be nil or non-empty string"))
    for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        found += not_negative(f"spec.{name}", spec.get(name, 0))
    found += one_of("spec.concurrencyPolicy", spec["concurrencyPolicy"], _POLICIES)
    template = spec["jobTemplate"]
    found += validate_labels(template["metadata"].get("labels", {}), "spec.jobTemplate.metadata.labels")
    found += validate_no_selector(template["spec"], "spec.jobTemplate.spec")
    found += validate_job_spec(template["spec"], "spec.jobTemplate.spec")
    name = cronjob["metadata"].get("name", "")
    if len(name) > _NAME_CHARS_MAX:
        found.append(invalid("metadata.name", name, f"must be no more than {_NAME_CHARS_MAX} characters"))
    return found


def _validate_schedule(schedule: str, path: str) -> list[Cause]:
    if not schedule:
        return [required(path)]
    if "TZ" in schedule:
        return [invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")]
    fault = schedule_fault(schedule)
    return [invalid(path, schedule, fault)] if fault else []


def _row(cronjob: Document, now_s: float) -> list[Any]:
    spec, status = cronjob.get("spec", {}), cronjob.get("status", {})
    last = status.get("lastScheduleTime")
    return [
        cronjob["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        "True" if spec.get("suspend") else "False",
        len(status.get("active", ())),
        since(last, now_s) if last else NONE,
        age(cronjob, now_s),
        *template_cells(spec.get("jobTemplate", {}).get("spec", {}).get("template", {})),
        NONE,  # As kube-apiserver: the Jobs' selectors are not made yet.
    ]


CRONJOBS = Resource(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    namespaced=True,
    model=CronJob,
    storage_prefix="cronjobs",
    short_names=("cj",),
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Schedule", description="When Jobs are made, as cron says it."),
        Column("Timezone", description="Where the schedule is read."),
        Column("Suspend", "boolean", description="Whether it makes no Jobs for now."),
        Column("Active", "integer", description="Jobs that are running."),
        Column("Last Schedule", description="When the last Job was made."),
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
    validate_name=subdomain_name,
)
