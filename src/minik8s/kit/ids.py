"""Identifiers drawn from a random source that is handed in: seeded in tests, the system's in processes."""

import random
import uuid

# No vowels and no look-alikes, as k8s.io/apimachinery util/rand: a suffix spells no word.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def new_uuid(rng: random.Random) -> str:
    """A version 4 UUID (RFC 9562) as Kubernetes prints uids."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def new_suffix(rng: random.Random, length: int = 5) -> str:
    """The random end of a generateName."""
    return "".join(rng.choice(_SUFFIX_ALPHABET) for _ in range(length))


def system_random() -> random.Random:
    """The operating system's random source, for everything that is not a test."""
    return random.SystemRandom()
