"""What every custom object has, as a model: the fields that are the server's."""

from typing import Optional

import msgspec
from lightkube.models import meta_v1  # `shapes` reads annotations as they are written


class CustomObject(msgspec.Struct):
    """An object of a kind that a CustomResourceDefinition defines.

    **parameters**

    * **apiVersion** ``Optional[str]`` - The group and version of the kind, as `example.com/v1`.

    * **kind** ``Optional[str]`` - What the object is, in CamelCase.

    * **metadata** ``Optional[meta_v1.ObjectMeta]`` - What every object has: its name, labels, annotations and more.
    """

    apiVersion: "Optional[str]" = None  # noqa: UP045
    kind: "Optional[str]" = None  # noqa: UP045
    metadata: "Optional[meta_v1.ObjectMeta]" = None  # noqa: UP045
