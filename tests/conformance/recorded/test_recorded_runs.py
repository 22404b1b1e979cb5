"""156 runs of kubectl that a real kube-apiserver 1.36.2 answered, replayed against ours: the answers are alike.

Status, headers, shape and values are compared; uids, times, revisions and ports are not. What may differ stands in
`accepted.json`, each with upstream's rule; what still differs for want of a feature in `pending.json`.
"""

import json
import shutil
import ssl
from collections import defaultdict
from collections.abc import Iterator

import pytest

from conformance.kubectl.cluster import Cluster, find_kubectl

from .compare import Difference
from .recording import exchanges, labels
from .replay import Player
from .rules import ACCEPTED_MAX, Rule, accepted, pending

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef"
LABELS = {"kubernetes.io/hostname": "node1"}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": LABELS}}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Difference]]]:
    """What differs, by label."""
    if shutil.which("etcd") is None or find_kubectl() is None:
        pytest.skip("needs etcd (Debian: etcd-server) and kubectl")
    with Stage(tmp_path_factory.mktemp("recorded")).running() as cluster:
        cluster.set()
        player = cluster.player()
        by_label = defaultdict(list)
        player.learn_tags(exchanges())
        for exchange in exchanges():
            by_label[exchange.label] += player.play(exchange)
        for difference in player.finish():
            by_label[difference.label].append(difference)
        yield by_label


class Stage(Cluster):
    """What there was before the first recorded request; the user is known by a static token, as then."""

    def apiserver_line(self, **flags: object) -> list[str]:
        users = self.directory / "users.csv"
        users.write_text(f'{TOKEN},admin,uid-admin,"system:masters"\n')
        given = {"token_auth_file": users, "service_cluster_ip_range": "10.96.0.0/16", "disable_admission_plugins": ""}
        return super().apiserver_line(**(given | flags))

    def set(self) -> None:
        """Make the node, and what controllers make of the namespace."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(NODE), version="1.32")
        self.kubectl("create", "serviceaccount", "default", version="1.32")

    def player(self) -> Player:
        context = ssl.create_default_context(cafile=str(self.serving.ca_file))
        return Player("127.0.0.1", self.port, context, {"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("label", labels())
def test_a_recorded_run_is_answered_alike(found: dict[str, list[Difference]], label: str):
    left = [each for each in found[label] if not any(rule.covers(each) for rule in accepted() + pending())]
    assert not left, "\n" + "\n".join(map(str, left))
    waiting = {rule.reason for each in found[label] for rule in pending() if rule.covers(each)}
    if waiting:
        pytest.skip(f"not yet: {', '.join(sorted(waiting))}")


def test_what_may_differ_still_does(found: dict[str, list[Difference]]):
    assert not _unused(accepted() + pending(), found)
    assert len(accepted()) <= ACCEPTED_MAX


def _unused(rules: list[Rule], found: dict[str, list[Difference]]) -> list[str]:
    return [str(rule) for rule in rules if not any(rule.covers(each) for some in found.values() for each in some)]
