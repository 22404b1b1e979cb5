"""One sandbox: a pod's place on the node. With the engine `process` that is an address of 127/8 and a name."""

from minik8s.node.runtime.state import SandboxRecord
from minik8s.wire.cri import api_pb2 as cri


class Sandbox:
    """A sandbox's record and how CRI shows it."""

    def __init__(self, record: SandboxRecord) -> None:
        self.record = record
        self.config = cri.PodSandboxConfig.FromString(record.config)

    @property
    def state(self) -> "cri.PodSandboxState":
        ready = self.record.ready
        return cri.PodSandboxState.SANDBOX_READY if ready else cri.PodSandboxState.SANDBOX_NOTREADY

    def status(self) -> cri.PodSandboxStatus:
        """As PodSandboxStatus answers it."""
        return cri.PodSandboxStatus(
            id=self.record.id,
            metadata=self.config.metadata,
            state=self.state,
            created_at=self.record.created_at_ns,
            network=cri.PodSandboxNetworkStatus(ip=self.record.ip),
            linux=cri.LinuxPodSandboxStatus(
                namespaces=cri.Namespace(options=self.config.linux.security_context.namespace_options)
            ),
            labels=self.config.labels,
            annotations=self.config.annotations,
            runtime_handler=self.record.runtime_handler,
        )

    def summary(self) -> cri.PodSandbox:
        """As ListPodSandbox answers it."""
        return cri.PodSandbox(
            id=self.record.id,
            metadata=self.config.metadata,
            state=self.state,
            created_at=self.record.created_at_ns,
            labels=self.config.labels,
            annotations=self.config.annotations,
            runtime_handler=self.record.runtime_handler,
        )


def uses_node_network(config: cri.PodSandboxConfig) -> bool:
    """Whether the pod has no address of its own (hostNetwork)."""
    return config.linux.security_context.namespace_options.network == cri.NamespaceMode.NODE
