"""The operator's flags of the API server: what docs/operations.md shows is taken, what is wrong is said."""

import base64
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from minik8s.cli.operations_flags import operations, operations_flags
from minik8s.control.apiserver.audit.policy import Level
from minik8s.control.apiserver.authn import ADMIN
from minik8s.control.apiserver.authz.attributes import Attributes

PAGE = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
POLICY, ENCRYPTION = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def parsed(*arguments):
    """What the flags mean; a message if they mean nothing."""
    found = {}

    @click.command()
    @operations_flags
    def command(**flags):
        found.update(operations(flags))

    result = CliRunner().invoke(command, [str(each) for each in arguments])
    return found if result.exit_code == 0 else result.output


def test_without_flags_everything_is_as_upstream():
    found = parsed()
    assert (found["audit"], found["keyrings"], found["shutdown_delay_s"]) == (None, {}, 0)
    assert found["calls"].in_flight.read_only_max == 400
    assert found["calls"].in_flight.mutating_max == 200
    assert found["calls"].request_timeout_s == 60


def test_the_policy_of_the_page_hides_what_is_in_secrets(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    found = parsed("--audit-policy-file", tmp_path / "policy.yaml", "--audit-log-path", "-", "--audit-log-maxage", 3)
    policy = found["audit"].policy
    assert policy.decide(Attributes(ADMIN, "create", version="v1", resource="secrets")).level is Level.METADATA
    assert policy.decide(Attributes(ADMIN, "create", version="v1", resource="pods")).level is Level.REQUEST_RESPONSE
    assert policy.decide(Attributes(ADMIN, "get", path="/readyz")).level is Level.NONE
    assert found["audit"].file.age_days_max == 3


def test_the_encryption_of_the_page_seals_secrets(tmp_path):
    secret = base64.b64encode(bytes(32)).decode()
    (tmp_path / "encryption.yaml").write_text(ENCRYPTION.replace("<32 bytes in base64>", secret))
    keyring = parsed("--encryption-provider-config", tmp_path / "encryption.yaml")["keyrings"]["secrets"]
    assert keyring.seal(b"place", b"{}").startswith(b"k8s:enc:aesgcm:v1:key1:")
    assert keyring.open(b"place", b"{}").is_stale


@pytest.mark.parametrize(
    ("flag", "content", "why"),
    [
        ("--audit-policy-file", POLICY, "come together"),
        ("--encryption-provider-config", "{", "is no YAML"),
        ("--encryption-provider-config", "kind: Secret\nsecret: hunter2", "must be EncryptionConfiguration"),
        ("--encryption-provider-config", ENCRYPTION, "must be base64 encoded"),
    ],
)
def test_what_is_wrong_is_said_without_the_secrets_in_it(tmp_path, flag, content, why):
    (tmp_path / "file").write_text(content)
    found = parsed(flag, tmp_path / "file")
    assert why in " ".join(found.replace("│", " ").split())
    assert "hunter2" not in found


def test_a_wrong_policy_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("rules: []")
    found = parsed("--audit-policy-file", tmp_path / "file", "--audit-log-path", "-")
    assert "--audit-policy-file" in found and "audit.k8s.io/v1" in found
