"""OwnerReferencesPermissionEnforcement: nobody has the garbage collector delete what they may not delete themselves."""

from collections.abc import Sequence

from minik8s.control.apiserver import resources
from minik8s.control.apiserver.admission.asking import AskingPlugin
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.resource import Document


class OwnerReferencesPermissionEnforcement(AskingPlugin):
    """Off unless asked for, as upstream."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        if attributes.verb == "delete" or attributes.subresource in ("status", "binding", "eviction"):
            return
        new, old = _references(document), _references(attributes.old or {})
        if new == old:
            return
        resource = attributes.resource
        # Who may create an object says whose it is.
        if attributes.old is not None and not await self.may(
            attributes, "delete", resource.group, resource.plural, attributes.name, namespace=attributes.namespace
        ):
            raise attributes.refuse("cannot set an ownerRef on a resource you can't delete: , <nil>")
        for reference in new:
            if reference.get("blockOwnerDeletion") and reference not in old:
                await self._check_blocking(reference, attributes)

    async def _check_blocking(self, reference: Document, attributes: Attributes) -> None:
        group, _, version = reference.get("apiVersion", "").rpartition("/")
        kind = reference.get("kind", "")
        found = next((each for each in resources.STORED if (each.group, each.kind) == (group, kind)), None)
        if found is None:
            raise attributes.refuse(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion "
                f'{reference.get("apiVersion", "")} Kind {kind}: no matches for kind "{kind}" in version "{version}"'
            )
        namespace = attributes.namespace if found.namespaced else ""
        name = reference.get("name", "")
        if not await self.may(
            attributes, "update", group, found.plural, name, subresource="finalizers", namespace=namespace
        ):
            raise attributes.refuse(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
                ", <nil>"
            )


def _references(document: Document) -> Sequence[Document]:
    return document.get("metadata", {}).get("ownerReferences") or []
