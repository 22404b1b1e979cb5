"""Files that configure admission plugins: upstream's AdmissionConfiguration, as far as it is about PodSecurity."""

from collections.abc import Callable
from typing import Any

from minik8s.control.apiserver.admission.pod_security import LEVELS, PodSecurityConfig, Standard, is_version

_MODES = ("enforce", "audit", "warn")


def parse(document: Any, load: Callable[[str], Any]) -> PodSecurityConfig:
    """The configuration of PodSecurity, given there or in the file that `load` reads. Raises ValueError."""
    if not isinstance(document, dict) or document.get("kind") != "AdmissionConfiguration":
        raise ValueError("must be an AdmissionConfiguration of apiserver.config.k8s.io/v1")
    config = PodSecurityConfig()
    for plugin in document.get("plugins") or ():
        name = plugin.get("name")
        if name != "PodSecurity":
            raise ValueError(f"plugin {name!r} takes no configuration here; only PodSecurity does")
        given = plugin["configuration"] if plugin.get("configuration") is not None else load(plugin.get("path", ""))
        config = _pod_security(given)
    return config


def _pod_security(given: Any) -> PodSecurityConfig:
    if not isinstance(given, dict) or given.get("kind") != "PodSecurityConfiguration":
        raise ValueError("the configuration of PodSecurity must be a PodSecurityConfiguration")
    defaults, exemptions = given.get("defaults") or {}, given.get("exemptions") or {}
    standards = {}
    for mode in _MODES:
        level, version = defaults.get(mode) or LEVELS[0], defaults.get(f"{mode}-version") or "latest"
        if level not in LEVELS:
            raise ValueError(f"defaults.{mode}: {level!r} must be one of {', '.join(LEVELS)}")
        if not is_version(version):
            raise ValueError(f'defaults.{mode}-version: {version!r} must be "latest" or "v1.x"')
        standards[mode] = Standard(level, version)
    return PodSecurityConfig(
        standards,
        tuple(exemptions.get("usernames") or ()),
        tuple(exemptions.get("namespaces") or ()),
        tuple(exemptions.get("runtimeClasses") or ()),
    )
