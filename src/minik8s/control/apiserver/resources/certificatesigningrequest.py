"""CertificateSigningRequest: the wish for a certificate, to be approved and then signed."""

import base64
from typing import Any

from minik8s.api.certificates_v1 import CertificateSigningRequest
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import duplicate, invalid, not_supported, required
from minik8s.control.apiserver.duration import age, human
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.ingressclass import validate_domain_path
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_LIFETIME_S_MIN = 600
_PEM_BEGIN = b"-----BEGIN CERTIFICATE REQUEST-----"


def _default(request: Document) -> None:
    request.setdefault("spec", {})


def _prepare_create(request: Document) -> None:
    request["status"] = {}


def _prepare_update(new: Document, old: Document) -> None:
    """As upstream: what was asked for stays, and conditions come through subresources alone."""
    new["spec"] = old.get("spec", {})


def _validate(request: Document) -> list[Cause]:
    spec = request["spec"]
    found = []
    body = spec.get("request", "")
    if not body:
        found.append(required("spec.request"))
    elif not base64.b64decode(body).lstrip().startswith(_PEM_BEGIN):
        found.append(invalid("spec.request", body, "PEM block type must be CERTIFICATE REQUEST"))
    usages = spec.get("usages", [])
    if not usages:
        found.append(required("spec.usages", "usages must be specified"))
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            found.append(not_supported(f"spec.usages[{index}]", usage, _USAGES))
        elif usage in usages[:index]:
            found.append(duplicate(f"spec.usages[{index}]", usage))
    signer = spec.get("signerName", "")
    found += validate_domain_path(signer, "spec.signerName") if signer else [required("spec.signerName")]
    lifetime_s = spec.get("expirationSeconds", _LIFETIME_S_MIN)
    if lifetime_s < _LIFETIME_S_MIN:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        found.append(invalid("spec.expirationSeconds", lifetime_s, why))
    return found


def _condition(request: Document) -> str:
    status = request.get("status", {})
    types = {condition["type"] for condition in status.get("conditions", ())}
    if "Denied" in types:
        word = "Denied"
    else:
        word = "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        word += ",Failed"
    return word + (",Issued" if status.get("certificate") else "")


def _row(request: Document, now_s: float) -> list[Any]:
    spec = request.get("spec", {})
    lifetime_s = spec.get("expirationSeconds")
    return [
        request["metadata"]["name"],
        age(request, now_s),
        spec.get("signerName", NONE),
        spec.get("username", ""),
        NONE if lifetime_s is None else human(lifetime_s),
        _condition(request),
    ]


def _fields(request: Document) -> dict[str, str]:
    return {"spec.signerName": request.get("spec", {}).get("signerName", "")}


CERTIFICATESIGNINGREQUESTS = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    model=CertificateSigningRequest,
    storage_prefix="certificatesigningrequests",
    short_names=("csr",),
    subresources=("approval", "status"),
    columns=(
        NAME,
        AGE,
        Column("SignerName", description="Who is to sign it."),
        Column("Requestor", description="Who asked for it."),
        Column("RequestedDuration", description="How long the certificate is to be valid."),
        Column("Condition", description="Whether it is approved, denied, issued."),
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("spec.signerName",),
)
