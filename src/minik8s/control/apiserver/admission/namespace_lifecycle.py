"""NamespaceLifecycle: objects are created in namespaces that exist and stay; some namespaces stay for ever."""

from minik8s.api.errors import Cause, not_found
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
# Questions, which are stored nowhere.
_REVIEWS = frozenset({"localsubjectaccessreviews"})


class NamespaceLifecycle(Plugin):
    """404 for a namespace that is missing, 403 for one on its way out."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Judged before other plugins, which may look into the namespace. Subresources (evictions, …) are no exception.

        The namespace is always read from the store: upstream's cache, and its memory of namespaces it saw go, is an
        answer to the price of that.
        """
        if attributes.verb == "delete":
            if attributes.resource.plural == "namespaces" and attributes.name in IMMORTAL:
                raise attributes.refuse("this namespace may not be deleted")
            return
        if attributes.verb != "create" or not attributes.namespace or attributes.resource.plural in _REVIEWS:
            return
        namespace = await attributes.reader.get("namespaces", "", attributes.namespace)
        if namespace is None:
            raise not_found("namespaces", "", attributes.namespace)
        if namespace.get("status", {}).get("phase") == "Terminating" or namespace["metadata"].get("deletionTimestamp"):
            why = f"namespace {attributes.namespace} is being terminated"
            raise attributes.refuse(
                f"unable to create new content in namespace {attributes.namespace} because it is being terminated",
                [Cause("NamespaceTerminating", why, "metadata.namespace")],
            )
