"""Which admission plugins run: kube-apiserver's --enable-admission-plugins and --disable-admission-plugins. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minik8s.control.apiserver.admission import ALL, OFF_BY_DEFAULT
from minik8s.control.apiserver.admission.asking import AskingPlugin
from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.admission.pod_security import PodSecurity, PodSecurityConfig
from minik8s.control.apiserver.authz.attributes import Authorizer

QUOTA = "ResourceQuota"  # no link of the chain, but a step after it
# What users bring; made by `dynamic.assembly`.
DYNAMIC = frozenset(f"{mode}Admission{kind}" for mode in ("Mutating", "Validating") for kind in ("Policy", "Webhook"))
_LOOPBACK = "LoopbackEndpoints"
# Parts of the API rather than choices: upstream does this outside of admission.
_NOT_A_CHOICE = frozenset({"CertificateRequester", _LOOPBACK})


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """What an apiserver's admission is configured by."""

    enabled: Sequence[str] = ()  # beyond the default
    disabled: Sequence[str] = ()
    pod_security: PodSecurityConfig = field(default_factory=PodSecurityConfig)
    allow_loopback_endpoints: bool = False  # for clusters whose pods live on 127.0.0.0/8

    def is_on(self, name: str) -> bool:
        """Whether a plugin runs."""
        if name == _LOOPBACK:
            return not self.allow_loopback_endpoints
        return name in self.enabled or (name not in self.disabled and name not in OFF_BY_DEFAULT)

    def chain(self, authorizer: Authorizer | None = None) -> tuple[Plugin, ...]:
        """The plugins that run, in order; some ask what a user may."""
        return tuple(self._given(plugin, authorizer) for plugin in ALL if self.is_on(type(plugin).__name__))

    def _given(self, plugin: Plugin, authorizer: Authorizer | None) -> Plugin:
        if isinstance(plugin, PodSecurity):
            return PodSecurity(self.pod_security)
        return type(plugin)(authorizer) if isinstance(plugin, AskingPlugin) else plugin


def names() -> list[str]:
    """All names there are to choose from, sorted."""
    return sorted({type(plugin).__name__ for plugin in ALL} - _NOT_A_CHOICE | DYNAMIC | {QUOTA})


def check(enabled: Sequence[str], disabled: Sequence[str]) -> None:
    """Raises ValueError, in upstream's words, if a name is unknown or on both lists."""
    for flag, given in (("enable", enabled), ("disable", disabled)):
        for name in given:
            if name not in names():
                known = ", ".join(names())
                raise ValueError(f'{flag}-admission-plugins plugin "{name}" is unknown; there are {known}')
    if both := sorted(set(enabled) & set(disabled)):
        listed = " ".join(both)
        raise ValueError(f"[{listed}] in enable-admission-plugins and disable-admission-plugins overlapped")
