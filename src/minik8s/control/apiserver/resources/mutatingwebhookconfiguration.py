"""MutatingWebhookConfiguration: whom to ask how to change what is written."""

from typing import Any

from minik8s.api.admissionregistration_v1 import MutatingWebhookConfiguration
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import one_of
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.webhookrule import default_webhook, validate_webhooks


def _default(configuration: Document) -> None:
    for webhook in configuration.get("webhooks", ()):
        default_webhook(webhook)
        webhook.setdefault("reinvocationPolicy", "Never")


def _validate(configuration: Document) -> list[Cause]:
    webhooks = configuration.get("webhooks", [])
    found = validate_webhooks(webhooks)
    for index, webhook in enumerate(webhooks):
        path = f"webhooks[{index}].reinvocationPolicy"
        found += one_of(path, webhook["reinvocationPolicy"], ("IfNeeded", "Never"))
    return found


def _row(configuration: Document, now_s: float) -> list[Any]:
    webhooks = configuration.get("webhooks", ())
    return [configuration["metadata"]["name"], len(webhooks), age(configuration, now_s)]


MUTATINGWEBHOOKCONFIGURATIONS = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    namespaced=False,
    model=MutatingWebhookConfiguration,
    storage_prefix="mutatingwebhookconfigurations",
    categories=("api-extensions",),
    columns=(NAME, Column("Webhooks", "integer", description="How many webhooks there are."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
