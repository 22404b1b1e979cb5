"""The kinds the apiserver serves; ALL is the one list that routes, discovery and OpenAPI are driven by."""

from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.resources.accessreview import (
    LOCALSUBJECTACCESSREVIEWS,
    SELFSUBJECTACCESSREVIEWS,
    SELFSUBJECTRULESREVIEWS,
    SUBJECTACCESSREVIEWS,
)
from minik8s.control.apiserver.resources.apiservice import APISERVICES
from minik8s.control.apiserver.resources.certificatesigningrequest import CERTIFICATESIGNINGREQUESTS
from minik8s.control.apiserver.resources.clusterrole import CLUSTERROLES
from minik8s.control.apiserver.resources.clusterrolebinding import CLUSTERROLEBINDINGS
from minik8s.control.apiserver.resources.configmap import CONFIGMAPS
from minik8s.control.apiserver.resources.controllerrevision import CONTROLLERREVISIONS
from minik8s.control.apiserver.resources.cronjob import CRONJOBS
from minik8s.control.apiserver.resources.csidriver import CSIDRIVERS
from minik8s.control.apiserver.resources.csinode import CSINODES
from minik8s.control.apiserver.resources.csistoragecapacity import CSISTORAGECAPACITIES
from minik8s.control.apiserver.resources.customresourcedefinition import CUSTOMRESOURCEDEFINITIONS
from minik8s.control.apiserver.resources.daemonset import DAEMONSETS
from minik8s.control.apiserver.resources.deployment import DEPLOYMENTS
from minik8s.control.apiserver.resources.deviceclass import DEVICECLASSES
from minik8s.control.apiserver.resources.endpoints import ENDPOINTS
from minik8s.control.apiserver.resources.endpointslice import ENDPOINTSLICES
from minik8s.control.apiserver.resources.event import EVENTS
from minik8s.control.apiserver.resources.event_v1 import EVENTS_V1
from minik8s.control.apiserver.resources.flowschema import FLOWSCHEMAS
from minik8s.control.apiserver.resources.horizontalpodautoscaler import HORIZONTALPODAUTOSCALERS
from minik8s.control.apiserver.resources.horizontalpodautoscaler_v1 import HORIZONTALPODAUTOSCALERS_V1
from minik8s.control.apiserver.resources.ingress import INGRESSES
from minik8s.control.apiserver.resources.ingressclass import INGRESSCLASSES
from minik8s.control.apiserver.resources.ipaddress import IPADDRESSES
from minik8s.control.apiserver.resources.job import JOBS
from minik8s.control.apiserver.resources.lease import LEASES
from minik8s.control.apiserver.resources.limitrange import LIMITRANGES
from minik8s.control.apiserver.resources.mutatingadmissionpolicy import MUTATINGADMISSIONPOLICIES
from minik8s.control.apiserver.resources.mutatingadmissionpolicybinding import MUTATINGADMISSIONPOLICYBINDINGS
from minik8s.control.apiserver.resources.mutatingwebhookconfiguration import MUTATINGWEBHOOKCONFIGURATIONS
from minik8s.control.apiserver.resources.namespace import NAMESPACES
from minik8s.control.apiserver.resources.networkpolicy import NETWORKPOLICIES
from minik8s.control.apiserver.resources.node import NODES
from minik8s.control.apiserver.resources.persistentvolume import PERSISTENTVOLUMES
from minik8s.control.apiserver.resources.persistentvolumeclaim import PERSISTENTVOLUMECLAIMS
from minik8s.control.apiserver.resources.pod import PODS
from minik8s.control.apiserver.resources.poddisruptionbudget import PODDISRUPTIONBUDGETS
from minik8s.control.apiserver.resources.podtemplates import PODTEMPLATES
from minik8s.control.apiserver.resources.priorityclass import PRIORITYCLASSES
from minik8s.control.apiserver.resources.prioritylevelconfiguration import PRIORITYLEVELCONFIGURATIONS
from minik8s.control.apiserver.resources.replicaset import REPLICASETS
from minik8s.control.apiserver.resources.replicationcontroller import REPLICATIONCONTROLLERS
from minik8s.control.apiserver.resources.resourceclaim import RESOURCECLAIMS
from minik8s.control.apiserver.resources.resourceclaimtemplate import RESOURCECLAIMTEMPLATES
from minik8s.control.apiserver.resources.resourcequota import RESOURCEQUOTAS
from minik8s.control.apiserver.resources.resourceslice import RESOURCESLICES
from minik8s.control.apiserver.resources.role import ROLES
from minik8s.control.apiserver.resources.rolebinding import ROLEBINDINGS
from minik8s.control.apiserver.resources.runtimeclass import RUNTIMECLASSES
from minik8s.control.apiserver.resources.secret import SECRETS
from minik8s.control.apiserver.resources.selfsubjectreview import SELFSUBJECTREVIEWS
from minik8s.control.apiserver.resources.service import SERVICES
from minik8s.control.apiserver.resources.serviceaccount import SERVICEACCOUNTS
from minik8s.control.apiserver.resources.servicecidr import SERVICECIDRS
from minik8s.control.apiserver.resources.statefulset import STATEFULSETS
from minik8s.control.apiserver.resources.storageclass import STORAGECLASSES
from minik8s.control.apiserver.resources.tokenreview import TOKENREVIEWS
from minik8s.control.apiserver.resources.validatingadmissionpolicy import VALIDATINGADMISSIONPOLICIES
from minik8s.control.apiserver.resources.validatingadmissionpolicybinding import VALIDATINGADMISSIONPOLICYBINDINGS
from minik8s.control.apiserver.resources.validatingwebhookconfiguration import VALIDATINGWEBHOOKCONFIGURATIONS
from minik8s.control.apiserver.resources.volumeattachment import VOLUMEATTACHMENTS
from minik8s.control.apiserver.resources.volumeattributesclass import VOLUMEATTRIBUTESCLASSES

# Groups appear in discovery in the order of their first kind here: as kube-apiserver's.
ALL: tuple[Resource, ...] = (
    CONFIGMAPS,
    ENDPOINTS,
    EVENTS,
    LIMITRANGES,
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    PODTEMPLATES,
    REPLICATIONCONTROLLERS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    APISERVICES,
    EVENTS_V1,
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    SELFSUBJECTREVIEWS,
    TOKENREVIEWS,
    LOCALSUBJECTACCESSREVIEWS,
    SELFSUBJECTACCESSREVIEWS,
    SELFSUBJECTRULESREVIEWS,
    SUBJECTACCESSREVIEWS,
    HORIZONTALPODAUTOSCALERS,
    HORIZONTALPODAUTOSCALERS_V1,
    CRONJOBS,
    JOBS,
    CERTIFICATESIGNINGREQUESTS,
    INGRESSCLASSES,
    INGRESSES,
    IPADDRESSES,
    NETWORKPOLICIES,
    SERVICECIDRS,
    PODDISRUPTIONBUDGETS,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    ROLEBINDINGS,
    ROLES,
    CSIDRIVERS,
    CSINODES,
    CSISTORAGECAPACITIES,
    STORAGECLASSES,
    VOLUMEATTACHMENTS,
    VOLUMEATTRIBUTESCLASSES,
    MUTATINGADMISSIONPOLICIES,
    MUTATINGADMISSIONPOLICYBINDINGS,
    MUTATINGWEBHOOKCONFIGURATIONS,
    VALIDATINGADMISSIONPOLICIES,
    VALIDATINGADMISSIONPOLICYBINDINGS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    CUSTOMRESOURCEDEFINITIONS,
    PRIORITYCLASSES,
    LEASES,
    RUNTIMECLASSES,
    ENDPOINTSLICES,
    DEVICECLASSES,
    RESOURCECLAIMS,
    RESOURCECLAIMTEMPLATES,
    RESOURCESLICES,
    FLOWSCHEMAS,
    PRIORITYLEVELCONFIGURATIONS,
)

# One of each kind that is stored: the version that is.
STORED: tuple[Resource, ...] = tuple(each for each in ALL if each.is_stored and each.conversion is None)
