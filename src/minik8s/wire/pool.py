"""The descriptor pool of the generated modules.

It is private because names such as `etcdserverpb.RangeRequest` may be registered only once in a pool: a program
that imports both minik8s and another etcd client would otherwise fail at import.
"""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
