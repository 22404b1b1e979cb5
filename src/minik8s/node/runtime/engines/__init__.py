"""Engines: how a container becomes running code. Each is one file beside this one, and one word here.

`oci` (runc or crun, for images) is planned; until then images run on containerd, through the kubelet's
--container-runtime-endpoint.
"""

ENGINES = ("process",)
