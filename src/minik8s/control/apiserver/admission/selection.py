"""Which admission plugins run: kube-apiserver's --enable-admission-plugins and --disable-admission-plugins. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minik8s.control.apiserver.admission import ALL, OFF_BY_DEFAULT
from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.admission.pod_security import PodSecurity, PodSecurityConfig

QUOTA = "ResourceQuota"  # no link of the chain, but a step after it
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

    def chain(self) -> tuple[Plugin, ...]:
        """The plugins that run, in order."""
        chosen = (plugin for plugin in ALL if self.is_on(type(plugin).__name__))
        return tuple(PodSecurity(self.pod_security) if isinstance(each, PodSecurity) else each for each in chosen)


def names() -> list[str]:
    """All names there are to choose from, sorted."""
    return sorted({type(plugin).__name__ for plugin in ALL} - _NOT_A_CHOICE | {QUOTA})


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
