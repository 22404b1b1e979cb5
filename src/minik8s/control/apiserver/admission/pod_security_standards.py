"""The Pod Security Standards: which checks make up the levels baseline and restricted, since which release. Pure.

Namespaces can pin the standards of an older release, so a check may have several versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from minik8s.control.apiserver.admission import pod_security_checks as checks
from minik8s.control.apiserver.admission.pod_security_checks import Run, Spec

LATEST = 36  # the minor release whose standards are the newest here


@dataclass(frozen=True, slots=True)
class Check:
    """One version of one check."""

    id: str
    level: str
    since: int  # the minor release that it came with
    run: Run
    overrides: str = ""  # the baseline check that is contained in it


def findings(level: str, minor: int, annotations: Mapping[str, str], spec: Spec) -> list[tuple[str, str]]:
    """What a pod does that a level of a release (a minor number) forbids."""
    if level == "privileged":
        return []
    chosen: dict[str, Check] = {}
    for check in CHECKS:  # in order of versions: the newest that is old enough stays
        if check.since <= min(minor, LATEST) and (level == "restricted" or check.level == "baseline"):
            chosen[check.id] = check
    overridden = {check.overrides for check in chosen.values()}
    kept = sorted((check.level, check.id) for check in chosen.values() if check.id not in overridden)
    found = (chosen[id_].run(annotations, spec) for _, id_ in kept)  # "baseline" sorts before "restricted"
    return [finding for finding in found if finding]


_B, _R = "baseline", "restricted"
CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", _B, 0, checks.apparmor),
    Check("capabilities_baseline", _B, 0, checks.capabilities_baseline),
    Check("hostNamespaces", _B, 0, checks.host_namespaces),
    Check("hostPathVolumes", _B, 0, checks.host_path),
    Check("hostPorts", _B, 0, checks.host_ports),
    Check("hostProbesAndHostLifecycle", _B, 34, checks.probe_hosts),
    Check("privileged", _B, 0, checks.privileged),
    Check("procMount_baseline", _B, 0, checks.proc_mount),
    Check("procMount_baseline", _B, 35, checks.as_user_of_its_own(checks.proc_mount)),
    *(Check("seLinuxOptions", _B, since, checks.selinux(since)) for since in checks.SELINUX_TYPES),
    Check("seccompProfile_baseline", _B, 0, checks.seccomp_annotations),
    Check("seccompProfile_baseline", _B, 19, checks.seccomp_baseline),
    *(Check("sysctls", _B, since, checks.sysctls(since)) for since in checks.SYSCTLS),
    Check("windowsHostProcess", _B, 0, checks.host_process),
    Check("allowPrivilegeEscalation", _R, 8, checks.escalation),
    Check("allowPrivilegeEscalation", _R, 25, checks.not_windows(checks.escalation)),
    Check("capabilities_restricted", _R, 22, checks.capabilities_restricted, "capabilities_baseline"),
    Check(
        "capabilities_restricted", _R, 25, checks.not_windows(checks.capabilities_restricted), "capabilities_baseline"
    ),
    Check("procMount_restricted", _R, 35, checks.proc_mount, "procMount_baseline"),
    Check("restrictedVolumes", _R, 0, checks.volumes, "hostPathVolumes"),
    Check("runAsNonRoot", _R, 0, checks.non_root),
    Check("runAsNonRoot", _R, 35, checks.as_user_of_its_own(checks.non_root)),
    Check("runAsUser", _R, 23, checks.root_user),
    Check("runAsUser", _R, 35, checks.as_user_of_its_own(checks.root_user)),
    Check("seccompProfile_restricted", _R, 19, checks.seccomp_restricted, "seccompProfile_baseline"),
    Check(
        "seccompProfile_restricted", _R, 25, checks.not_windows(checks.seccomp_restricted), "seccompProfile_baseline"
    ),
)
"""In the order of their versions; those of one id follow each other."""
