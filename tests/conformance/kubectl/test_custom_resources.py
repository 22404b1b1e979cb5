"""Custom kinds as people use them: kubectl of the oldest and the newest version on a definition and its objects."""

import json
import re
from functools import partial

import pytest

from .cluster import Cluster, find_kubectl

pytestmark = pytest.mark.slow

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crons.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: crons, singular: cron, kind: Cron, shortNames: [crn], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    selectableFields: [{jsonPath: .spec.schedule}]
    additionalPrinterColumns:
    - {name: Schedule, type: string, jsonPath: .spec.schedule}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        description: Runs something at times.
        type: object
        properties:
          spec:
            type: object
            required: [schedule]
            x-kubernetes-validations:
            - {rule: "self.replicas <= 5", message: at most five, fieldPath: .replicas}
            properties:
              schedule: {type: string, description: When to run., pattern: '^[0-9*/ ]+$'}
              replicas: {type: integer, minimum: 0, default: 1}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
          status:
            type: object
            properties:
              replicas: {type: integer}
"""
OBJECT = """
apiVersion: GROUP/v1
kind: Cron
metadata: {name: nightly}
spec: {schedule: "0 3 * * *"}
"""


@pytest.mark.parametrize("version", ["1.27", "1.33"])
def test_a_definition_and_its_objects(cluster: Cluster, namespace: str, version: str) -> None:
    if find_kubectl(version) is None:
        pytest.skip(f"needs kubectl {version}")
    group = f"v{version.replace('.', '')}.example.com"
    kubectl = partial(cluster.kubectl, "--namespace", namespace, version=version)
    apply = partial(kubectl, "apply", "-f", "-")
    assert (
        apply(stdin=DEFINITION.replace("GROUP", group))
        == f"customresourcedefinition.apiextensions.k8s.io/crons.{group} created\n"
    )
    kubectl("wait", "--for=condition=Established", f"crd/crons.{group}", "--timeout=5s")
    document = OBJECT.replace("GROUP", group)
    assert apply(stdin=document) == f"cron.{group}/nightly created\n"
    assert apply(stdin=document) == f"cron.{group}/nightly unchanged\n"
    assert apply(stdin=document.replace("0 3", "0 4")) == f"cron.{group}/nightly configured\n"
    wide = kubectl("get", f"crons.{group}", "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "SCHEDULE", "REPLICAS", "AGE"]
    assert re.fullmatch(r"nightly +0 4 \* \* \* +1 +\d+s", wide[1]), wide
    assert kubectl("get", f"crn.{group}", "-o", "name") == f"cron.{group}/nightly\n"
    selected = partial(kubectl, "get", f"crons.{group}", "-o", "name", "--field-selector")
    assert (selected("spec.schedule=0 4 * * *"), selected("spec.schedule=x")) == (f"cron.{group}/nightly\n", "")
    explained = kubectl("explain", "crons", "--recursive", "--api-version", f"{group}/v1")
    assert "Runs something at times." in explained
    assert re.search(r"^ +schedule\t<string>", explained, re.M), explained
    kubectl("scale", f"crons.{group}/nightly", "--replicas=3")
    found = json.loads(kubectl("get", f"crons.{group}/nightly", "-o", "json"))
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (3, 3)
    refused = kubectl("patch", f"crons.{group}/nightly", "--type=merge", "-p", '{"spec":{"replicas":7}}', fails=True)
    assert refused == 'The Cron "nightly" is invalid: spec.replicas: Invalid value: at most five\n'
    refused = apply(stdin=document.replace("schedule:", "shedule:"), fails=True)
    assert 'strict decoding error: unknown field "spec.shedule"' in refused
    patch = '{"spec":{"tags":["a","a"]}}'
    refused = kubectl("patch", f"crons.{group}/nightly", "--type=merge", "-p", patch, fails=True)
    assert 'spec.tags[1]: Duplicate value: "a"' in refused
    refused = kubectl("patch", f"crons.{group}/nightly", "--type=strategic", "-p", patch, fails=True)
    assert "application/merge-patch+json" in refused
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=document.replace("0 3", "0 5"))
    kubectl("delete", f"crd/crons.{group}", "--timeout=10s")
    assert "the server doesn't have a resource type" in kubectl("get", f"crons.{group}", fails=True)
