"""ValidatingWebhookConfiguration: whom to ask whether something may be written."""

from typing import Any

from minik8s.api.admissionregistration_v1 import ValidatingWebhookConfiguration
from minik8s.api.errors import Cause
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.webhookrule import default_webhook, validate_webhooks


def _default(configuration: Document) -> None:
    for webhook in configuration.get("webhooks", ()):
        default_webhook(webhook)


def _validate(configuration: Document) -> list[Cause]:
    webhooks = configuration.get("webhooks", [])
    return validate_webhooks(webhooks)


def _row(configuration: Document, now_s: float) -> list[Any]:
    webhooks = configuration.get("webhooks", ())
    return [configuration["metadata"]["name"], len(webhooks), age(configuration, now_s)]


VALIDATINGWEBHOOKCONFIGURATIONS = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    namespaced=False,
    model=ValidatingWebhookConfiguration,
    storage_prefix="validatingwebhookconfigurations",
    categories=("api-extensions",),
    columns=(NAME, Column("Webhooks", "integer", description="How many webhooks there are."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
