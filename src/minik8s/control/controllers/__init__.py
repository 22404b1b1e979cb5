"""Controllers: each brings one kind of thing closer to what its spec says. ALL is what `manager` runs."""

from minik8s.control.controllers.accounttokens import AccountTokensController
from minik8s.control.controllers.clusterroleaggregation import ClusterRoleAggregationController
from minik8s.control.controllers.deployment import DeploymentController
from minik8s.control.controllers.disruption import DisruptionController
from minik8s.control.controllers.endpointslice import EndpointSliceController
from minik8s.control.controllers.garbage import GarbageCollector
from minik8s.control.controllers.namespace import NamespaceController
from minik8s.control.controllers.nodeipam import NodeIpamController
from minik8s.control.controllers.nodelifecycle import NodeLifecycleController
from minik8s.control.controllers.replicaset import ReplicaSetController
from minik8s.control.controllers.resourcequota import ResourceQuotaController
from minik8s.control.controllers.rootca import RootCaController
from minik8s.control.controllers.serviceaccount import ServiceAccountController
from minik8s.control.controllers.storageprotection import ClaimProtectionController, VolumeProtectionController
from minik8s.control.controllers.tokencleaner import TokenCleaner

ALL = (
    ServiceAccountController,
    RootCaController,
    AccountTokensController,
    TokenCleaner,
    DeploymentController,
    ReplicaSetController,
    EndpointSliceController,
    NodeIpamController,
    NodeLifecycleController,
    NamespaceController,
    ResourceQuotaController,
    DisruptionController,
    ClaimProtectionController,
    VolumeProtectionController,
    ClusterRoleAggregationController,
    GarbageCollector,
)
