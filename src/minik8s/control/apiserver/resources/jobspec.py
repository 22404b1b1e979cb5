"""The spec of a Job, alone or in a CronJob: defaults of its pods, and syntax."""

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, invalid, not_negative, not_supported, one_of, required
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.podtemplate import validate_label_selector, validate_template

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_INDEXED_PARALLELISM_MAX = 100_000
_ENDING = ("OnFailure", "Never")


def validate_job_spec(spec: Document, path: str) -> list[Cause]:
    """Causes for all but the selector, which differs between a Job and a template of Jobs."""
    found = [cause for name in _COUNTS for cause in not_negative(f"{path}.{name}", spec.get(name, 0))]
    mode = spec.get("completionMode", "NonIndexed")
    found += one_of(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed":
        if "completions" not in spec:
            found.append(required(f"{path}.completions", "when completion mode is Indexed"))
        if spec.get("parallelism", 0) > _INDEXED_PARALLELISM_MAX:
            why = f"must be less than or equal to {_INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
            found.append(invalid(f"{path}.parallelism", spec["parallelism"], why))
    elif "backoffLimitPerIndex" in spec:
        why = "requires indexed completion mode"
        found.append(invalid(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], why))
    if "podReplacementPolicy" in spec:
        policies = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
        found += one_of(f"{path}.podReplacementPolicy", spec["podReplacementPolicy"], policies)
    found += validate_template(spec.get("template", {}), f"{path}.template")
    policy = spec.get("template", {}).get("spec", {}).get("restartPolicy")
    if policy == "Always":  # That is what it is if nobody says.
        why = ", ".join(f'"{each}"' for each in _ENDING)
        found.append(required(f"{path}.template.spec.restartPolicy", f"valid values: {why}"))
    if "podFailurePolicy" in spec and policy != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(invalid(f"{path}.template.spec.restartPolicy", policy, why))
    return found


def validate_job_selector(spec: Document, path: str) -> list[Cause]:
    """Causes for the selector of a Job: made by the server unless `manualSelector` says otherwise."""
    selector = spec.get("selector")
    return [required(f"{path}.selector")] if selector is None else validate_label_selector(selector, f"{path}.selector")


def validate_no_selector(spec: Document, path: str) -> list[Cause]:
    """Causes for a template of Jobs: none of them can have a selector of its own making."""
    found = []
    if spec.get("manualSelector"):
        found.append(not_supported(f"{path}.manualSelector", spec["manualSelector"], ["nil", "false"]))
    if "selector" in spec:
        found.append(forbidden(f"{path}.selector", "`selector` will be auto-generated"))
    return found
