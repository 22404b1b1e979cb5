"""Status: written through its subresource alone, so the main resource neither sets nor loses it."""

from minik8s.control.apiserver.resource import Document


def keep_status(new: Document, old: Document) -> None:
    """What an update of the main resource says of the status is not heard."""
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)
