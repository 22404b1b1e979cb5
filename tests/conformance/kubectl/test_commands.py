"""Every command of kubectl that needs no containers, by each version: one story, told in order.

No controllers run beside the apiserver, so what they would do is written here too: a ReplicaSet, conditions.
"""

import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .cluster import Cluster, find_kubectl

pytestmark = pytest.mark.slow

VERSIONS = ("1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33")
CONTAINER = {"name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}]}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
}
SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "labels": {"app": "web"}},
    "data": {"a": "b"},
}
CHANGED = SETTINGS | {"data": {"a": "c"}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "web"}},
    "spec": {"containers": [CONTAINER]},
}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reconciled", "namespace": "<ns>"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
}
READY = '{"status":{"conditions":[{"type":"Ready","status":"True"}],"phase":"Running"}}'


@dataclass(frozen=True)
class Step:
    """One command and a pattern of what it prints."""

    line: str
    prints: str = ""
    stdin: object = None
    fails: bool = False


def steps(*given: tuple[object, ...]) -> list[Step]:
    return [Step(*each) for each in given]  # type: ignore[arg-type]


STORY = {
    "what there is": steps(
        ("version", r"Server Version: .*v1\.36"),
        ("api-versions", r"(?s)apps/v1.*^v1$"),
        ("api-resources --namespaced=true -o name", "deployments.apps"),
        ("api-resources -o wide", r"pods +po +v1 +true +Pod"),
        ("cluster-info", "control plane"),
        ("explain deployment.spec.strategy", "rollingUpdate"),
        ("explain pod --recursive", "containers"),
        ("get --raw /readyz", "ok"),
        ("options", "--namespace"),
    ),
    "making": steps(
        ("create -f -", "pod/p created", POD),
        ("create -f -", "AlreadyExists", POD, True),
        ("create -f - --validate=strict", "unknown field", POD | {"metadata": {"name": "q"}, "bogus": 1}, True),
        (
            "create -f - --validate=warn",
            "Warning: unknown field|created",
            {**SETTINGS, "metadata": {"name": "w"}, "bogus": 1},
        ),
        ("create -f - --dry-run=server", "created", SETTINGS),
        ("create configmap dry --from-literal=a=b --dry-run=client -o yaml", "a: b"),
        ("create secret generic s --from-literal=a=b", "created"),
        ("create secret docker-registry d --docker-username=u --docker-password=p", "created"),
        ("create serviceaccount sa", "created"),
        ("create token sa --duration=1h", r"^ey.*\..*\."),
        ("create role r --verb=get --resource=pods", "created"),
        ("create rolebinding rb --role=r --serviceaccount=<ns>:sa", "created"),
        ("create quota q --hard=configmaps=100", "created"),
        ("create pdb pdb --selector=app=web --min-available=1", "created"),
        ("create service nodeport np --tcp=80", "created"),
        ("create service externalname en --external-name=a.b", "created"),
        ("create ingress i --rule=a.b/*=np:80", "created"),
        ("create cronjob cj --image=i --schedule='*/5 * * * *'", "created"),
        ("create job j --from=cronjob/cj", "created"),
        ("run r --image=i --labels=run=r --expose --port=80", "(?s)service/r created.*pod/r created|pod/r created"),
    ),
    "applying": steps(
        ("apply -f -", "deployment.apps/web created", WEB),
        ("apply -f -", "deployment.apps/web unchanged", WEB),
        ("apply -f -", "settings created", SETTINGS),
        ("diff -f -", r"(?s)-  a: b.*\+  a: c", CHANGED, "differs"),
        ("apply -f - --dry-run=server", r"settings configured \(server dry run\)", CHANGED),
        ("apply -f -", "settings configured", CHANGED),
        ("apply view-last-applied configmap/settings", "a: c"),
        (
            "apply -f - --server-side --field-manager=ssa",
            "serverside-applied",
            {**SETTINGS, "metadata": {"name": "ssa"}},
        ),
        (
            "apply -f - --server-side --field-manager=b",
            'conflict with "ssa"',
            {**CHANGED, "metadata": {"name": "ssa"}},
            True,
        ),
        (
            "apply -f - --server-side --field-manager=b --force-conflicts",
            "applied",
            {**CHANGED, "metadata": {"name": "ssa"}},
        ),
        ("apply -f - --server-side", "applied", CHANGED),
        ("apply -f - --prune -l app=web --prune-allowlist=core/v1/ConfigMap", "settings", CHANGED),
    ),
    "looking": steps(
        ("get pods", r"p +0/1 +Pending"),
        ("get pods -o wide --show-labels", "NOMINATED NODE.*LABELS"),
        ("get all", "(?s)pod/p.*service/np.*deployment.apps/web.*cronjob.batch/cj.*job.batch/j"),
        ("get pods -A -l app=web --field-selector=metadata.namespace=<ns>", "<ns> +p"),
        ("get pod p -o jsonpath='{.spec.containers[0].image}'", "nginx:1"),
        ("get pods -o custom-columns=N:.metadata.name --sort-by=.metadata.name", "(?s)^N\np\nr$"),
        ("get pods,configmaps -o name", "(?s)pod/p.*configmap/settings"),
        ("get deployment web -o go-template='{{.spec.replicas}}'", "1"),
        ("get deployment web --subresource=scale", "web +1"),
        ("get configmaps --chunk-size=1 -o name", "(?s)settings.*ssa"),
        ("get pod nope --ignore-not-found", "^$"),
        ("get pod nope", 'pods "nope" not found', None, True),
        ("get events", ""),
        ("events --for pod/p", ""),
        *(
            (f"describe {kind}", "Name:")
            for kind in ("pod p", "deploy web", "svc np", "cj cj", "job j", "secret s", "sa sa")
        ),
        *(
            (f"describe {kind}", "Name:")
            for kind in ("ingress i", "role r", "rolebinding rb", "quota q", "pdb pdb", "ns <ns>")
        ),
        ("cluster-info dump --namespaces=<ns> -o json", '"ConfigMapList"|"PodList"'),
        ("top pod", "Metrics API not available", None, True),
    ),
    "changing": steps(
        ('patch deployment web -p \'{"spec":{"paused":true}}\'', "patched"),
        ('patch deployment web --type=merge -p \'{"spec":{"paused":null}}\'', "patched"),
        ('patch deployment web --type=json -p \'[{"op":"replace","path":"/spec/replicas","value":2}]\'', "patched"),
        ("label pod p tier=a", "labeled"),
        ("label pod p tier=b", "already has a value", None, True),
        ("label pod p tier=b --overwrite", "labeled"),
        ("label pods --all tier-", "unlabeled|labeled"),
        ("annotate pod p note=x", "pod/p annotate"),
        ("scale deployment web --replicas=3", "scaled"),
        ("scale deployment web --replicas=1 --current-replicas=3", "scaled"),
        ("autoscale deployment web --max=3", "autoscaled"),
        ("expose deployment web --port=80", "exposed"),
        ("set image deployment/web c=nginx:2", "image updated"),
        ("set env deployment/web A=b", "env updated"),
        ("set resources deployment/web --limits=cpu=1", "resource requirements updated"),
        ("set serviceaccount deployment/web sa", "serviceaccount updated"),
        ("set selector service/np app=web", "selector updated"),
        ("set subject rolebinding/rb --user=bob", "subjects updated"),
        ("replace -f -", "settings replaced", SETTINGS),
        ("replace --force -f -", "settings replaced", SETTINGS),
        ("edit configmap settings", "edited"),
    ),
    "rolling out": steps(
        ("rollout pause deployment/web", "paused"),
        ("rollout resume deployment/web", "resumed"),
        ("rollout restart deployment/web", "restarted"),
        ("rollout history deployment/web", "(?s)REVISION.*1.*2"),
        ("rollout undo deployment/web --to-revision=1", "rolled back"),
        ("rollout status deployment/web --timeout=1s", "Waiting|timed out|observed", None, True),
    ),
    "waiting": steps(
        (f"patch pod p --subresource=status --type=merge -p '{READY}'", "patched"),
        ("wait --for=condition=Ready pod/p --timeout=5s", "condition met"),
        ("wait --for=jsonpath={.status.phase}=Running pod/p --timeout=5s", "condition met"),
        ("wait --for=delete pod/nope --timeout=5s", ""),
        ("wait --for=condition=Nope pod/p --timeout=1s", "timed out", None, True),
    ),
    "rights": steps(
        ("auth can-i create pods", "yes"),
        ("auth can-i create pods --as=bob", "no", None, True),
        ("auth can-i get pods --as=bob", "yes"),
        ("auth can-i --list", r"\*\.\*"),
        ("auth reconcile -f -", "reconciled", ROLE),
        ("get pods --as=bob --as-group=x", "pods is forbidden", None, True),
    ),
    "nodes": steps(
        ("cordon <node>", "cordoned"),
        ("uncordon <node>", "uncordoned"),
        ("taint node <node> k=v:NoSchedule", "tainted"),
        ("taint node <node> k-", "untainted"),
        ("describe node <node>", "Taints:"),
        ("drain <node> --ignore-daemonsets --force", "drained"),
    ),
    "deleting": steps(
        ("delete configmap w --dry-run=server", "deleted .server dry run."),
        ("delete configmap w", 'configmap "w" deleted'),
        ("delete -f -", "deleted", SETTINGS),
        ("delete configmaps -l app=web --ignore-not-found", ""),
        ("delete pod p --grace-period=1", "deleted"),
        ("delete pod r --now", "deleted"),
        ("delete deployment web --cascade=orphan --wait=false", "deleted"),
        ("delete deployment web --cascade=foreground --wait=false --ignore-not-found", ""),
        ("delete secrets --all", "deleted"),
        ("delete --raw /api/v1/namespaces/<ns>/serviceaccounts/sa", "Success"),
        ("delete pod nope", "NotFound", None, True),
    ),
}


@pytest.fixture(scope="module")
def told(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """The story by each version that is here, two at a time; each has a namespace and a node of its own."""
    present = [version for version in VERSIONS if find_kubectl(version)]
    with ThreadPoolExecutor(2) as pool:
        directory = tmp_path_factory.mktemp("commands")
        yield {version: pool.submit(tell_all, cluster, version, directory) for version in present}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_does_what_it_says(told: dict[str, Future[None]], version: str):
    if version not in told:
        pytest.skip(f"no kubectl {version} here")
    told[version].result(timeout=240)


def tell_all(cluster: Cluster, version: str, directory: Path) -> None:
    short = version.replace(".", "")
    namespace = f"commands-{short}"
    set_the_stage(cluster, namespace, f"n{short}")
    for chapter, steps_of_it in STORY.items():
        if chapter == "rolling out":
            make_revisions(cluster, namespace)
        for step in steps_of_it:
            tell(cluster, namespace, version, chapter, step, directory)


def tell(cluster: Cluster, namespace: str, version: str, chapter: str, step: Step, directory: Path) -> None:
    """Do one step, and see that it says what it should."""
    places = {"<ns>": namespace, "<node>": f"n{version.replace('.', '')}"}
    line, expected, stdin = step.line, step.prints, json.dumps(step.stdin) if step.stdin else ""
    for name, value in places.items():
        line, expected, stdin = (text.replace(name, value) for text in (line, expected, stdin))
    words = shlex.split(line)
    editor = directory / f"editor-{version}"
    editor.write_text('#!/bin/sh\nsed -i "s/a: b/a: edited/" "$1"\n')
    editor.chmod(0o700)
    run = partial(cluster.run_kubectl, "--namespace", namespace, *words, version=version, stdin=stdin or None)
    done = run(environment={"KUBE_EDITOR": str(editor)})
    told = f"{chapter}: kubectl-{version} {shlex.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert (done.returncode != 0) is bool(step.fails), told
    assert re.search(expected, done.stdout + done.stderr, re.MULTILINE), told


def set_the_stage(cluster: Cluster, namespace: str, node: str) -> None:
    cluster.kubectl("create", "namespace", namespace)
    if "default" not in cluster.kubectl("-n", namespace, "get", "serviceaccounts", "-o", "name"):
        cluster.kubectl("-n", namespace, "create", "serviceaccount", "default")
    cluster.kubectl(
        "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    )


def make_revisions(cluster: Cluster, namespace: str) -> None:
    """Two ReplicaSets, as the deployment controller would have made them."""
    web = json.loads(cluster.kubectl("-n", namespace, "get", "deployment", "web", "-o", "json"))
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": web["metadata"]["uid"],
        "controller": True,
    }
    for revision in ("1", "2"):
        labels = {"app": "web", "pod-template-hash": revision}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER | {"image": f"old:{revision}"}]}}
        replicas = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"web-{revision}",
                "labels": labels,
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [owner],
            },
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        }
        cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(replicas))
