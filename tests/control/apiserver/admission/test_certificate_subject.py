"""Which certificates may not be asked for."""

import base64

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import ADMIN
from tests.control.apiserver.harness import local_core, scenario

GROUP = "certificates.k8s.io"


def request(signer, *groups):
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    pem = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": ["client auth"]}
    return {"metadata": {"name": "r"}, "spec": spec}


async def create(core, document):
    body = msgspec.json.encode(document)
    await core.api.as_user(ADMIN).call(Request("create", GROUP, "v1", "certificatesigningrequests", body=body))


@pytest.mark.parametrize(
    ("signer", "groups", "expected"),
    [
        ("kubernetes.io/kube-apiserver-client", ["developers"], True),
        ("kubernetes.io/kube-apiserver-client", ["developers", "system:masters"], False),
        ("example.com/s", ["system:masters"], True),
    ],
)
@scenario
async def test_no_certificate_makes_a_master(signer, groups, expected):
    async with local_core() as core:
        try:
            await create(core, request(signer, *groups))
        except StatusError as error:
            why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
            assert (error.message.partition(" is forbidden: ")[2], expected) == (why, False)
        else:
            assert expected
