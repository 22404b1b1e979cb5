"""Who may approve and sign certificates."""

import base64

import pytest

from control.apiserver.admission.test_owner_references import BOB, allow
from control.apiserver.admission.world import cluster
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError

APPROVED = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}}
SIGNED = {"status": {"certificate": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()}}
PEM = base64.b64encode(b"-----BEGIN CERTIFICATE REQUEST-----\n").decode()


@pytest.mark.parametrize(
    ("subresource", "word", "body"), [("approval", "approve", APPROVED), ("status", "sign", SIGNED)]
)
@pytest.mark.parametrize(
    ("names", "may"), [(["a.b/c"], True), (["a.b/*"], True), ([], True), (["a.b/d"], False), (["c.d/*"], False)]
)
def test_a_signer_has_its_approvers_and_signers(subresource, word, body, names, may):
    @scenario
    async def main():
        async with cluster() as made:
            spec = {"request": PEM, "signerName": "a.b/c", "usages": ["client auth"]}
            await made.create("certificatesigningrequests", {"metadata": {"name": "r"}, "spec": spec})
            signer = {"resourceNames": names} if names else {}
            await allow(made, (["patch"], f"certificatesigningrequests/{subresource}", {}), ([word], "signers", signer))
            writing = made.as_user(BOB).patch("certificatesigningrequests", "r", body, subresource=subresource)
            if may:
                await writing
                return
            with pytest.raises(StatusError) as caught:
                await writing
            why = f'user not permitted to {word} requests with signerName "a.b/c"'
            assert (caught.value.code, caught.value.message.partition(" is forbidden: ")[2]) == (403, why)

    main()
