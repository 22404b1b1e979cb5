"""The roles every cluster begins with, as facts: those of Kubernetes 1.36. Read by `bootstrap_policy`.

A line at the margin names a role; `+view` is the label by which it is aggregated to `view`, `<view` says that it
aggregates what has that label. Indented lines are its rules: VERBS [@GROUPS] RESOURCE… [=NAME…], or VERBS /PATH….
The group is the core group unless one is given. `read`, `write` and `all` are the verbs that VERBS says they are.

Left out: what schedulers, kubelets and controllers need for devices, pod certificates and storage version migration.
"""

VERBS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "update", "patch", "delete", "deletecollection"),
    "all": ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    "event": ("create", "update", "patch"),
}

CLUSTER_ROLES = """
cluster-admin
    * @* *
    * *
system:discovery
    get /livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*
system:public-info-viewer
    get /livez /readyz /healthz /version /version/
system:monitoring
    get /metrics /metrics/slis /livez /livez/* /readyz /readyz/* /healthz /healthz/*
system:basic-user
    create @authorization.k8s.io selfsubjectaccessreviews selfsubjectrulesreviews
    create @authentication.k8s.io selfsubjectreviews
admin <admin
edit <edit +admin
view <view +edit
system:aggregate-to-admin +admin
    create @authorization.k8s.io localsubjectaccessreviews
    all @rbac.authorization.k8s.io roles rolebindings
system:aggregate-to-edit +edit
    read pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
    impersonate serviceaccounts
    write pods pods/attach pods/exec pods/portforward pods/proxy
    create pods/eviction
    write configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale
    write secrets serviceaccounts services services/proxy
    create serviceaccounts/token
    write @apps daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale
    write @apps statefulsets statefulsets/scale
    write @autoscaling horizontalpodautoscalers
    write @batch cronjobs jobs
    write @extensions daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies
    write @extensions replicasets replicasets/scale replicationcontrollers/scale
    write @policy poddisruptionbudgets
    write @networking.k8s.io ingresses networkpolicies
    all @coordination.k8s.io leases
    write @resource.k8s.io resourceclaims resourceclaimtemplates
system:aggregate-to-view +view
    read configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods
    read replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
    read bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status
    read resourcequotas resourcequotas/status
    read namespaces
    read @discovery.k8s.io endpointslices
    read @apps controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status
    read @apps replicasets replicasets/scale replicasets/status
    read @apps statefulsets statefulsets/scale statefulsets/status
    read @autoscaling horizontalpodautoscalers horizontalpodautoscalers/status
    read @batch cronjobs cronjobs/status jobs jobs/status
    read @extensions daemonsets daemonsets/status deployments deployments/scale deployments/status
    read @extensions ingresses ingresses/status networkpolicies
    read @extensions replicasets replicasets/scale replicasets/status replicationcontrollers/scale
    read @policy poddisruptionbudgets poddisruptionbudgets/status
    read @networking.k8s.io ingresses ingresses/status networkpolicies
    read @resource.k8s.io resourceclaims resourceclaims/status resourceclaimtemplates
system:heapster
    read events namespaces nodes pods
    read @extensions deployments
system:node
    create @authentication.k8s.io tokenreviews
    create @authorization.k8s.io localsubjectaccessreviews subjectaccessreviews
    read services
    create,get,list,watch nodes
    update,patch nodes/status
    update,patch nodes
    event events
    read pods
    create,delete pods
    update,patch pods/status
    create pods/eviction
    read configmaps secrets
    get persistentvolumeclaims persistentvolumes
    get endpoints
    create,get,list,watch @certificates.k8s.io certificatesigningrequests
    get,create,update,patch,delete @coordination.k8s.io leases
    get @storage.k8s.io volumeattachments
    create serviceaccounts/token
    get,update,patch persistentvolumeclaims/status
    read @storage.k8s.io csidrivers
    get,create,update,patch,delete @storage.k8s.io csinodes
    read @node.k8s.io runtimeclasses
    get serviceaccounts
system:node-problem-detector
    get nodes
    patch nodes/status
    event @core,events.k8s.io events
system:kubelet-api-admin
    read nodes
    proxy nodes
    * nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats
system:node-bootstrapper
    create,get,list,watch @certificates.k8s.io certificatesigningrequests
system:auth-delegator
    create @authentication.k8s.io tokenreviews
    create @authorization.k8s.io subjectaccessreviews
system:kube-aggregator
    read endpoints services
system:kube-controller-manager
    event @core,events.k8s.io events
    create @coordination.k8s.io leases
    get,update @coordination.k8s.io leases =kube-controller-manager
    create secrets serviceaccounts
    delete secrets
    get configmaps namespaces secrets serviceaccounts
    update secrets serviceaccounts
    create @authentication.k8s.io tokenreviews
    create @authorization.k8s.io subjectaccessreviews
    list,watch @* *
    create serviceaccounts/token
system:kube-dns
    list,watch endpoints services
system:persistent-volume-provisioner
    create,delete,get,list,watch persistentvolumes
    get,list,update,watch persistentvolumeclaims
    read @storage.k8s.io storageclasses
    watch events
    event @core,events.k8s.io events
system:service-account-issuer-discovery
    get /.well-known/openid-configuration /openid/v1/jwks
system:volume-scheduler
    get,list,patch,update,watch persistentvolumes
    read @storage.k8s.io storageclasses
    get,list,patch,update,watch persistentvolumeclaims
system:kube-scheduler
    event @core,events.k8s.io events
    create @coordination.k8s.io leases
    get,update @coordination.k8s.io leases =kube-scheduler
    read nodes
    delete,get,list,watch pods
    create bindings pods/binding
    update,patch pods/status
    read replicationcontrollers services
    read @apps,extensions replicasets
    read @apps statefulsets
    read @policy poddisruptionbudgets
    read persistentvolumeclaims persistentvolumes
    create @authentication.k8s.io tokenreviews
    create @authorization.k8s.io subjectaccessreviews
    read @storage.k8s.io csinodes
    read namespaces
    read @storage.k8s.io csidrivers
    read @storage.k8s.io csistoragecapacities
    read @storage.k8s.io volumeattachments
system:node-proxier
    list,watch endpoints services
    read nodes
    event @core,events.k8s.io events
    list,watch @discovery.k8s.io endpointslices
system:certificates.k8s.io:certificatesigningrequests:nodeclient
    create @certificates.k8s.io certificatesigningrequests/nodeclient
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
    create @certificates.k8s.io certificatesigningrequests/selfnodeclient
system:certificates.k8s.io:legacy-unknown-approver
    approve @certificates.k8s.io signers =kubernetes.io/legacy-unknown
system:certificates.k8s.io:kubelet-serving-approver
    approve @certificates.k8s.io signers =kubernetes.io/kubelet-serving
system:certificates.k8s.io:kube-apiserver-client-approver
    approve @certificates.k8s.io signers =kubernetes.io/kube-apiserver-client
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
    approve @certificates.k8s.io signers =kubernetes.io/kube-apiserver-client-kubelet
system:minik8s:kube-scheduler
    patch @coordination.k8s.io leases =kube-scheduler
"""

# Each is bound to the service account of its name in kube-system; and to system:kube-controller-manager, as which our
# controllers run: what upstream asks of clusters without --use-service-account-credentials.
CONTROLLER_ROLES = """
attachdetach-controller
    list,watch persistentvolumeclaims persistentvolumes
    read nodes
    update,patch nodes/status
    list,watch pods
    event @core,events.k8s.io events
    create,delete,get,list,watch @storage.k8s.io volumeattachments
    read @storage.k8s.io csidrivers
    read @storage.k8s.io csinodes
certificate-controller
    delete,get,list,watch @certificates.k8s.io certificatesigningrequests
    update @certificates.k8s.io certificatesigningrequests/approval certificatesigningrequests/status
    approve @certificates.k8s.io signers =kubernetes.io/kube-apiserver-client-kubelet
    sign @certificates.k8s.io signers =kubernetes.io/kube-apiserver-client =kubernetes.io/legacy-unknown \
=kubernetes.io/kube-apiserver-client-kubelet =kubernetes.io/kubelet-serving
    create @authorization.k8s.io subjectaccessreviews
    event @core,events.k8s.io events
clusterrole-aggregation-controller
    escalate,get,list,patch,update,watch @rbac.authorization.k8s.io clusterroles
cronjob-controller
    get,list,update,watch @batch cronjobs
    create,delete,get,list,patch,update,watch @batch jobs
    update @batch cronjobs/status
    update @batch cronjobs/finalizers
    delete,list,watch pods
    event @core,events.k8s.io events
daemon-set-controller
    read @apps,extensions daemonsets
    update @apps,extensions daemonsets/status
    update @apps,extensions daemonsets/finalizers
    list,watch nodes
    create,delete,list,patch,watch pods
    create pods/binding
    create,delete,get,list,patch,update,watch @apps controllerrevisions
    event @core,events.k8s.io events
deployment-controller
    get,list,update,watch @apps,extensions deployments
    update @apps,extensions deployments/status
    update @apps,extensions deployments/finalizers
    create,delete,get,list,patch,update,watch @apps,extensions replicasets
    get,list,update,watch pods
    event @core,events.k8s.io events
disruption-controller
    read @apps,extensions deployments
    read @apps,extensions replicasets
    read replicationcontrollers
    read @policy poddisruptionbudgets
    read @apps statefulsets
    update @policy poddisruptionbudgets/status
    update,patch pods/status
    get @* */scale
    event @core,events.k8s.io events
endpoint-controller
    read pods services
    create,delete,get,list,update,watch endpoints
    create endpoints/restricted
    event @core,events.k8s.io events
endpointslice-controller
    read nodes pods services
    update services/finalizers
    create,delete,get,list,update,watch @discovery.k8s.io endpointslices
    event @core,events.k8s.io events
endpointslicemirroring-controller
    read endpoints services
    update services/finalizers
    update endpoints/finalizers
    create,delete,get,list,update,watch @discovery.k8s.io endpointslices
    event @core,events.k8s.io events
ephemeral-volume-controller
    read pods
    update pods/finalizers
    create,get,list,watch persistentvolumeclaims
    event @core,events.k8s.io events
expand-controller
    get,list,patch,update,watch persistentvolumes
    update,patch persistentvolumeclaims/status
    read persistentvolumeclaims
    event @core,events.k8s.io events
generic-garbage-collector
    delete,get,list,patch,update,watch @* *
    event @core,events.k8s.io events
horizontal-pod-autoscaler
    read @autoscaling horizontalpodautoscalers
    update @autoscaling horizontalpodautoscalers/status
    get,update @* */scale
    list,watch pods
    list @metrics.k8s.io pods
    read @custom.metrics.k8s.io *
    read @external.metrics.k8s.io *
    event @core,events.k8s.io events
job-controller
    get,list,patch,update,watch @batch jobs
    update @batch jobs/status
    update @batch jobs/finalizers
    create,delete,list,patch,watch pods
    event @core,events.k8s.io events
legacy-service-account-token-cleaner
    get configmaps =kube-apiserver-legacy-service-account-token-tracking
    patch,delete secrets
namespace-controller
    delete,get,list,watch namespaces
    update namespaces/finalize namespaces/status
    delete,deletecollection,get,list,watch @* *
node-controller
    delete,get,list,patch,update,watch nodes
    update,patch nodes/status
    update,patch pods/status
    delete,get,list,watch pods
    event @core,events.k8s.io events
persistent-volume-binder
    create,delete,get,list,update,watch persistentvolumes
    update persistentvolumes/status
    get,list,update,watch persistentvolumeclaims
    update persistentvolumeclaims/status
    create,delete,get,list,watch pods
    read @storage.k8s.io storageclasses
    get,list nodes
    event @core,events.k8s.io events
pod-garbage-collector
    delete,list,watch pods
    get,list nodes
    patch pods/status
pv-protection-controller
    get,list,update,watch persistentvolumes
    event @core,events.k8s.io events
pvc-protection-controller
    get,list,update,watch persistentvolumeclaims
    read pods
    event @core,events.k8s.io events
replicaset-controller
    get,list,update,watch @apps,extensions replicasets
    update @apps,extensions replicasets/status
    update @apps,extensions replicasets/finalizers
    create,delete,list,patch,watch pods
    event @core,events.k8s.io events
replication-controller
    get,list,update,watch replicationcontrollers
    update replicationcontrollers/status
    update replicationcontrollers/finalizers
    create,delete,list,patch,watch pods
    event @core,events.k8s.io events
resource-claim-controller
    read pods
    update pods/finalizers
    create,delete,get,list,watch @resource.k8s.io resourceclaims
    patch,update @resource.k8s.io resourceclaims resourceclaims/status
    update,patch pods/status
    event @core,events.k8s.io events
resourcequota-controller
    list,watch @* *
    update resourcequotas/status
    event @core,events.k8s.io events
root-ca-cert-publisher
    create,update configmaps
    event @core,events.k8s.io events
route-controller
    list,watch nodes
    patch nodes/status
    event @core,events.k8s.io events
service-account-controller
    create serviceaccounts
    event @core,events.k8s.io events
service-cidrs-controller
    get,list,patch,update,watch @networking.k8s.io servicecidrs
    patch,update @networking.k8s.io servicecidrs/finalizers
    patch,update @networking.k8s.io servicecidrs/status
    read @networking.k8s.io ipaddresses
    event @core,events.k8s.io events
service-controller
    read services
    update,patch services/status
    list,watch nodes
    event @core,events.k8s.io events
statefulset-controller
    list,watch pods
    read @apps statefulsets
    update @apps statefulsets/status
    update @apps statefulsets/finalizers
    create,delete,get,patch,update pods
    create,delete,get,list,patch,update,watch @apps controllerrevisions
    create,get persistentvolumeclaims
    update,delete persistentvolumeclaims
    update pods/finalizers
    event @core,events.k8s.io events
ttl-after-finished-controller
    delete,get,list,watch @batch jobs
    event @core,events.k8s.io events
ttl-controller
    list,patch,update,watch nodes
    event @core,events.k8s.io events
validatingadmissionpolicy-status-controller
    read @admissionregistration.k8s.io validatingadmissionpolicies
    get,patch,update @admissionregistration.k8s.io validatingadmissionpolicies/status
    event @core,events.k8s.io events
volumeattributesclass-protection-controller
    read persistentvolumeclaims
    read persistentvolumes
    get,list,update,watch @storage.k8s.io volumeattributesclasses
    event @core,events.k8s.io events
"""

# Roles of one namespace: NAMESPACE/NAME.
ROLES = """
kube-system/extension-apiserver-authentication-reader
    read configmaps =extension-apiserver-authentication
kube-system/system:controller:bootstrap-signer
    read secrets
kube-system/system:controller:cloud-provider
    create,get,list,watch configmaps
kube-system/system:controller:token-cleaner
    delete,get,list,watch secrets
    event @core,events.k8s.io events
kube-system/system::leader-locking-kube-controller-manager
    watch configmaps
    get,update configmaps =kube-controller-manager
kube-system/system::leader-locking-kube-scheduler
    watch configmaps
    get,update configmaps =kube-scheduler
kube-public/system:controller:bootstrap-signer
    read configmaps
    update configmaps =cluster-info
    event @core,events.k8s.io events
"""

# [NAMESPACE/]ROLE SUBJECT…: a user, %group, or service account NAMESPACE/NAME. The binding has the role's name,
# unless another follows `as`.
BINDINGS = """
cluster-admin %system:masters
system:monitoring %system:monitoring
system:discovery %system:authenticated
system:basic-user %system:authenticated
system:public-info-viewer %system:authenticated %system:unauthenticated
system:node-proxier system:kube-proxy
system:kube-controller-manager system:kube-controller-manager
system:kube-dns kube-system/kube-dns
system:kube-scheduler system:kube-scheduler
system:minik8s:kube-scheduler system:kube-scheduler
system:volume-scheduler system:kube-scheduler
system:node
system:service-account-issuer-discovery %system:serviceaccounts
kube-system/extension-apiserver-authentication-reader system:kube-controller-manager system:kube-scheduler \
as system::extension-apiserver-authentication-reader
kube-system/system::leader-locking-kube-controller-manager system:kube-controller-manager \
kube-system/kube-controller-manager
kube-system/system::leader-locking-kube-scheduler system:kube-scheduler kube-system/kube-scheduler
kube-system/system:controller:bootstrap-signer kube-system/bootstrap-signer
kube-system/system:controller:cloud-provider kube-system/cloud-provider
kube-system/system:controller:token-cleaner kube-system/token-cleaner
kube-public/system:controller:bootstrap-signer kube-system/bootstrap-signer
"""
