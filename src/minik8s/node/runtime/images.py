"""Images, for an engine that has none: each name is "present" as soon as someone asks for it.

The kubelet pulls before it creates, as CRI demands; what it is given is an id made from the name. Whether a container
can do without its image is decided when it is created (engines/process.check).
"""

import hashlib

from minik8s.node.runtime.errors import invalid
from minik8s.wire.cri import api_pb2 as cri

IMAGES_MAX = 1000  # names remembered for ListImages; the oldest is forgotten


class Images:
    """The ImageService of CRI."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def pull_image(self, request: cri.PullImageRequest) -> cri.PullImageResponse:
        name = request.image.image
        if not name:
            raise invalid("image name is empty")
        self._names.pop(name, None)
        self._names[name] = None
        while len(self._names) > IMAGES_MAX:
            del self._names[next(iter(self._names))]
        return cri.PullImageResponse(image_ref=image_id(name))

    def image_status(self, request: cri.ImageStatusRequest) -> cri.ImageStatusResponse:
        name = request.image.image
        if name not in self._names:
            return cri.ImageStatusResponse()
        return cri.ImageStatusResponse(image=_image(name))

    def list_images(self, request: cri.ListImagesRequest) -> cri.ListImagesResponse:
        wanted = request.filter.image.image
        return cri.ListImagesResponse(images=[_image(name) for name in self._names if wanted in ("", name)])

    def remove_image(self, request: cri.RemoveImageRequest) -> cri.RemoveImageResponse:
        self._names.pop(request.image.image, None)
        return cri.RemoveImageResponse()

    def image_fs_info(self, request: cri.ImageFsInfoRequest) -> cri.ImageFsInfoResponse:
        return cri.ImageFsInfoResponse()


def image_id(name: str) -> str:
    """An id as a registry's digest looks, made from the name."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def _image(name: str) -> cri.Image:
    return cri.Image(id=image_id(name), repo_tags=[name], size=1, spec=cri.ImageSpec(image=name))
