"""Small documents of each kind, and what the write path's hooks make of them."""

from minik8s.control.apiserver import schema
from minik8s.control.apiserver.resources import STORED
from minik8s.control.apiserver.resources.objectmeta import validate_metadata

KINDS = {resource.kind: resource for resource in STORED}


def container(name="c", **fields):
    return {"name": name, "image": "nginx:1", **fields}


def pod(*containers, metadata=None, **spec):
    return {"metadata": metadata or {"name": "p"}, "spec": {"containers": list(containers or [container()]), **spec}}


def deployment(labels=None, template=None, **spec):
    labels = labels or {"app": "web"}
    template = template or {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    return {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def service(*ports, **spec):
    return {"metadata": {"name": "s"}, "spec": {"ports": list(ports or [{"port": 80}]), **spec}}


def created(kind, document):
    """The document after decoding, preparation and defaulting."""
    resource = KINDS[kind]
    document, _ = schema.check(document, resource, "Strict")
    resource.prepare_create(document)
    resource.default(document)
    return document


def updated(kind, new, old):
    """The document after the steps of an update."""
    resource = KINDS[kind]
    document, _ = schema.check(new, resource, "Strict")
    resource.default(document)
    resource.prepare_update(document, old)
    return document


def told(causes):
    return [f"{cause.field}: {cause.message}" for cause in causes]


def faults(kind, document):
    """What validation says of a create."""
    document = created(kind, document)
    return told(validate_metadata(document["metadata"]) + KINDS[kind].validate(document))


def update_faults(kind, new, old):
    """What validation says of an update of what `old` created."""
    old = created(kind, old)
    new = updated(kind, new, old)
    return told(KINDS[kind].validate(new) + KINDS[kind].validate_update(new, old))


def job(restart="Never", **spec):
    template = {"spec": {"restartPolicy": restart, "containers": [container()]}}
    return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}
