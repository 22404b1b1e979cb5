"""Dynamic admission put together. Called by `core`."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.admission.dynamic import mutating_policies, validating_policies, webhooks
from minik8s.control.apiserver.admission.dynamic.configurations import Configurations
from minik8s.control.apiserver.admission.dynamic.metrics import HookCall
from minik8s.control.apiserver.admission.dynamic.mutating_policies import Again, MutatingPolicies
from minik8s.control.apiserver.admission.dynamic.policies import Policies, parse_binding
from minik8s.control.apiserver.admission.dynamic.validating_policies import ValidatingPolicies
from minik8s.control.apiserver.admission.dynamic.webhooks import Means, MutatingWebhooks, ValidatingWebhooks
from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.resources.mutatingadmissionpolicy import MUTATINGADMISSIONPOLICIES
from minik8s.control.apiserver.resources.mutatingadmissionpolicybinding import MUTATINGADMISSIONPOLICYBINDINGS
from minik8s.control.apiserver.resources.mutatingwebhookconfiguration import MUTATINGWEBHOOKCONFIGURATIONS
from minik8s.control.apiserver.resources.validatingadmissionpolicy import VALIDATINGADMISSIONPOLICIES
from minik8s.control.apiserver.resources.validatingadmissionpolicybinding import VALIDATINGADMISSIONPOLICYBINDINGS
from minik8s.control.apiserver.resources.validatingwebhookconfiguration import VALIDATINGWEBHOOKCONFIGURATIONS
from minik8s.control.apiserver.served import Served
from minik8s.control.apiserver.watchcache import WatchCache
from minik8s.control.apiserver.webhook_client import WebhookClient


def plugins(
    cache: WatchCache,
    served: Served,
    client: WebhookClient,
    authorizer: Authorizer,
    *,
    before: Sequence[Plugin],
    rng: random.Random,
    is_on: Callable[[str], bool] = lambda name: True,
    observers: Sequence[Callable[[HookCall], None]] = (),
) -> tuple[Plugin, ...]:
    """The plugins that run, in upstream's order; `before` are those that look again at what webhooks change."""

    means = Means(client, authorizer, served.versions, rng, observers)
    mutating = Configurations(cache, MUTATINGWEBHOOKCONFIGURATIONS, webhooks.parse)
    validating = Configurations(cache, VALIDATINGWEBHOOKCONFIGURATIONS, webhooks.parse)

    def policies(policies: Configurations[Any], bindings: Resource) -> Policies:
        return Policies(policies, Configurations(cache, bindings, parse_binding), cache, served, authorizer)

    changing = MutatingPolicies(
        policies(
            Configurations(cache, MUTATINGADMISSIONPOLICIES, mutating_policies.parse), MUTATINGADMISSIONPOLICYBINDINGS
        )
    )
    judging = ValidatingPolicies(
        policies(
            Configurations(cache, VALIDATINGADMISSIONPOLICIES, validating_policies.parse),
            VALIDATINGADMISSIONPOLICYBINDINGS,
        )
    )
    again = [Again(changing)] if is_on("MutatingAdmissionPolicy") else []
    found: dict[str, Plugin] = {
        "MutatingAdmissionPolicy": changing,
        "MutatingAdmissionWebhook": MutatingWebhooks(mutating, means, (*before, *again)),
        "ValidatingAdmissionPolicy": judging,
        "ValidatingAdmissionWebhook": ValidatingWebhooks(validating, means),
    }
    return tuple(plugin for name, plugin in found.items() if is_on(name))
