"""One document of each kind with much of what the kind can hold, for tests that go through all kinds."""

from control.apiserver.resources.kinds import container, deployment, job, pod, service

FULL = container(
    ports=[{"containerPort": 80, "hostPort": 80, "name": "http"}],
    env=[{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    resources={"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}},
    livenessProbe={"httpGet": {"port": "http"}},
    readinessProbe={"exec": {"command": ["true"]}},
    lifecycle={"preStop": {"httpGet": {"port": 80}}},
    volumeMounts=[{"name": "v", "mountPath": "/v"}],
)
META = {
    "name": "x",
    "labels": {"a": "b"},
    "ownerReferences": [{"kind": "A", "name": "b", "uid": "c", "controller": True}],
}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container()], "nodeSelector": {"a": "b"}}}
SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]}
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
WEBHOOK = {
    "name": "a.b.c",
    "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/p"}, "caBundle": "aGk="},
    "rules": [RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "namespaceSelector": SELECTOR,
}
ROLE = {"metadata": META, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}
BINDING = {
    "metadata": META,
    "roleRef": {"kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
}
CLAIM = {
    "metadata": META,
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "selector": SELECTOR,
        "storageClassName": "c",
        "volumeName": "v",
    },
    "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}},
}
BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
PEERS = [{"podSelector": SELECTOR}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]

DEFINITION = {
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"], "categories": ["all"]},
        "conversion": {
            "strategy": "Webhook",
            "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/p"}, "caBundle": "aGk="},
            },
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["count"],
                                "properties": {
                                    "count": {"type": "integer", "minimum": 1, "default": 1},
                                    "size": {"x-kubernetes-int-or-string": True, "nullable": True},
                                    "extra": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "rest": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "list": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {"name": {"type": "string", "pattern": "^a+$"}},
                                        },
                                    },
                                },
                                "x-kubernetes-validations": [{"rule": "self.count < 9", "message": "too many"}],
                            },
                            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                        },
                    }
                },
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Count", "type": "integer", "jsonPath": ".spec.count"}],
                "selectableFields": [{"jsonPath": ".spec.count"}],
            },
            {
                "name": "v1beta1",
                "served": True,
                "storage": False,
                "deprecated": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            },
        ],
    },
}

OTHERS = {
    "CustomResourceDefinition": DEFINITION,
    "APIService": {
        "metadata": {"name": "v1.example.com"},
        "spec": {
            "group": "example.com",
            "version": "v1",
            "service": {"namespace": "n", "name": "s", "port": 443},
            "caBundle": "aGk=",
            "groupPriorityMinimum": 100,
            "versionPriority": 15,
        },
        "status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound"}]},
    },
    "Secret": {"metadata": META, "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ==", "tls.key": "YQ=="}},
    "ServiceAccount": {"metadata": META, "secrets": [{"name": "s"}], "automountServiceAccountToken": False},
    "PersistentVolume": {
        "metadata": META,
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/v"},
            "claimRef": {"namespace": "n", "name": "c"},
            "storageClassName": "c",
        },
        "status": {"phase": "Bound"},
    },
    "PersistentVolumeClaim": CLAIM,
    "Endpoints": {
        "metadata": META,
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "::1"}], "ports": [{"port": 80, "name": "a"}]}],
    },
    "ReplicationController": {
        "metadata": META,
        "spec": {"replicas": 2, "selector": {"app": "web"}, "template": TEMPLATE},
        "status": {"replicas": 1},
    },
    "LimitRange": {
        "metadata": META,
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1m"}, "default": {"cpu": "1"}}]},
    },
    "ResourceQuota": {
        "metadata": META,
        "spec": {"hard": {"pods": "10", "limits.cpu": "1"}, "scopes": ["BestEffort"]},
        "status": {"hard": {"pods": "10", "limits.cpu": "1"}, "used": {"pods": "1"}},
    },
    "PodTemplate": {"metadata": META, "template": TEMPLATE},
    "ControllerRevision": {"metadata": META, "revision": 3, "data": {"spec": {"a": [1]}}},
    "DaemonSet": {
        "metadata": META,
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": TEMPLATE,
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}},
        },
    },
    "StatefulSet": {
        "metadata": META,
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": TEMPLATE,
            "volumeClaimTemplates": [CLAIM],
            "updateStrategy": {"rollingUpdate": {"partition": 1, "maxUnavailable": 1}},
        },
    },
    "Job": job(completions=3, parallelism=2, podFailurePolicy={"rules": [{"action": "Count"}]})
    | {
        "status": {
            "conditions": [{"type": "Complete", "status": "True"}],
            "startTime": "2026-11-20T10:00:00Z",
            "completionTime": "2026-11-20T10:00:05Z",
        }
    },
    "CronJob": {
        "metadata": META,
        "spec": {"schedule": "*/5 1-3 * jan mon-fri", "timeZone": "UTC", "jobTemplate": {"spec": job()["spec"]}},
        "status": {"lastScheduleTime": "2026-11-20T10:00:00Z", "active": [{"name": "j"}]},
    },
    "HorizontalPodAutoscaler": {
        "metadata": META,
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "maxReplicas": 5,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Value", "averageValue": "1"}}},
                {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}},
            ],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}},
        },
        "status": {
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "1"}}}]
        },
    },
    "Ingress": {
        "metadata": META,
        "spec": {
            "ingressClassName": "c",
            "defaultBackend": {"resource": {"kind": "K", "name": "n"}},
            "rules": [{"host": "*.a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}}],
            "tls": [{"hosts": ["a.b"], "secretName": "s"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
    },
    "IngressClass": {
        "metadata": META,
        "spec": {"controller": "a.b/c", "parameters": {"kind": "K", "name": "n", "apiGroup": "g"}},
    },
    "NetworkPolicy": {
        "metadata": META,
        "spec": {
            "podSelector": SELECTOR,
            "ingress": [{"from": PEERS, "ports": [{"port": 80, "endPort": 90}]}],
            "egress": [{"to": PEERS, "ports": [{"port": "http"}]}],
        },
    },
    "PodDisruptionBudget": {
        "metadata": META,
        "spec": {"minAvailable": "50%", "selector": SELECTOR, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        "status": {"disruptedPods": {"p": "2026-11-20T10:00:00Z"}},
    },
    "Role": ROLE,
    "ClusterRole": ROLE | {"aggregationRule": {"clusterRoleSelectors": [SELECTOR]}},
    "RoleBinding": BINDING,
    "ClusterRoleBinding": BINDING,
    "StorageClass": {"metadata": META, "provisioner": "a.b/c", "parameters": {"a": "b"}, "allowVolumeExpansion": True},
    "VolumeAttachment": {
        "metadata": META,
        "spec": {"attacher": "a.b", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
        "status": {"attached": True},
    },
    "CSINode": {
        "metadata": META,
        "spec": {"drivers": [{"name": "a.b", "nodeID": "n", "allocatable": {"count": 3}}]},
    },
    "CSIDriver": {"metadata": META, "spec": {"tokenRequests": [{"audience": "a"}], "fsGroupPolicy": "File"}},
    "PriorityClass": {"metadata": META, "value": 10, "description": "d"},
    "RuntimeClass": {
        "metadata": META,
        "handler": "h",
        "overhead": {"podFixed": {"cpu": "1"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]},
    },
    "CertificateSigningRequest": {
        "metadata": META,
        "spec": {
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
            "signerName": "a.b/c",
            "usages": ["client auth"],
            "expirationSeconds": 3600,
            "extra": {"a": ["b"]},
        },
        "status": {"conditions": [{"type": "Approved", "status": "True"}], "certificate": "aGk="},
    },
    "MutatingWebhookConfiguration": {"metadata": META, "webhooks": [WEBHOOK]},
    "ValidatingWebhookConfiguration": {"metadata": META, "webhooks": [WEBHOOK]},
    "ValidatingAdmissionPolicy": {
        "metadata": META,
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [RULE]},
            "validations": [{"expression": "true"}],
        },
    },
    "MutatingAdmissionPolicy": {
        "metadata": META,
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [RULE | {"operations": ["CREATE"]}]},
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}},
                {"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}},
            ],
            "reinvocationPolicy": "Never",
        },
    },
    "MutatingAdmissionPolicyBinding": {
        "metadata": META,
        "spec": {"policyName": "p", "matchResources": {"resourceRules": [RULE]}},
    },
    "ValidatingAdmissionPolicyBinding": {
        "metadata": META,
        "spec": {
            "policyName": "p",
            "validationActions": ["Deny"],
            "paramRef": {"name": "n", "namespace": "m", "parameterNotFoundAction": "Deny"},
            "matchResources": {"resourceRules": [RULE]},
        },
    },
}
DEVICES = {
    "requests": [{"name": "gpu", "exactly": {"deviceClassName": "c", "selectors": [{"cel": {"expression": "true"}}]}}]
}
SMALL = {
    "FlowSchema": {
        "metadata": META,
        "spec": {
            "priorityLevelConfiguration": {"name": "p"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "u"}}, {"kind": "Group", "group": {"name": "g"}}],
                    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        },
        "status": {"conditions": [{"type": "Dangling", "status": "False"}]},
    },
    "PriorityLevelConfiguration": {
        "metadata": META,
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 8}}}},
    },
    "CSIStorageCapacity": {"metadata": META, "storageClassName": "c", "capacity": "1Gi", "nodeTopology": SELECTOR},
    "VolumeAttributesClass": {"metadata": META, "driverName": "d.example.com", "parameters": {"iops": "1"}},
    "IPAddress": {
        "metadata": META | {"name": "10.0.0.1"},
        "spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}},
    },
    "ServiceCIDR": {"metadata": META, "spec": {"cidrs": ["10.96.0.0/16"]}},
    "DeviceClass": {"metadata": META, "spec": {"selectors": [{"cel": {"expression": "true"}}]}},
    "ResourceClaim": {
        "metadata": META,
        "spec": {"devices": DEVICES},
        "status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]},
    },
    "ResourceClaimTemplate": {
        "metadata": META,
        "spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": DEVICES}},
    },
    "ResourceSlice": {
        "metadata": META,
        "spec": {
            "driver": "d.example.com",
            "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "d", "attributes": {"a": {"string": "b"}}}],
        },
    },
}
STATE = {"terminated": {"exitCode": 1, "finishedAt": "2026-11-20T10:00:00Z"}}
SEEDS = (
    {
        "Pod": pod(
            FULL,
            initContainers=[container("i", restartPolicy="Always")],
            tolerations=[{"operator": "Exists"}],
            volumes=[{"name": "v", "configMap": {"name": "c"}}],
            readinessGates=[{"conditionType": "g"}],
        )
        | {
            "metadata": META,
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "podIPs": [{"ip": "10.0.0.1"}],
                "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}, "lastState": STATE}],
                "initContainerStatuses": [{"name": "i", "state": STATE, "restartCount": 2}],
            },
        },
        "Deployment": deployment(strategy={"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 1}}, replicas=2),
        "ReplicaSet": deployment(selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}),
        "Service": service(
            {"name": "a", "port": 80, "targetPort": "http", "nodePort": 30000},
            type="NodePort",
            selector={"a": "b"},
            externalIPs=["10.0.0.1"],
            clusterIP="10.96.0.9",
        ),
        "EndpointSlice": {
            "metadata": META,
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n"}],
            "ports": [{"port": 80, "name": "a"}],
        },
        "Lease": {
            "metadata": META,
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 5, "renewTime": "2026-11-20T10:00:00.000000Z"},
        },
        "ConfigMap": {"metadata": META, "data": {"a": "b"}, "binaryData": {"c": "aGk="}, "immutable": True},
        "Event": {
            "metadata": META,
            "involvedObject": {"kind": "Pod", "name": "p"},
            "source": {"component": "c"},
            "series": {"count": 3, "lastObservedTime": "2026-11-20T10:00:00.000000Z"},
            "message": "m",
        },
        "Namespace": {"metadata": META, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}},
        "Node": {
            "metadata": META,
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "capacity": {"cpu": "4"},
                "nodeInfo": {"kubeletVersion": "v1"},
            },
        },
    }
    | OTHERS
    | SMALL
)
