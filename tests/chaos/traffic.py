"""What clients ask for: random requests over a handful of keys, from a seeded generator; every value is unique."""

import random
from itertools import count

from minik8s.store.verify import history as h

KEYS = tuple(f"k{number}" for number in range(10))
LEASES = range(1, 5)
_SPACE = ("\0", "\0")


class Traffic:
    """One client's choices, as etcd's robustness suite mixes them: a third reads, the rest writes of all kinds."""

    def __init__(self, client: int, rng: random.Random) -> None:
        self._client = client
        self._rng = rng
        self._numbers = count()
        self._known: dict[str, int] = dict.fromkeys(KEYS, 0)  # mod revisions, for optimistic writes

    def next(self, revision: int) -> h.Request:
        """A request by somebody who has heard of `revision`."""
        rng, key = self._rng, self._rng.choice(KEYS)
        dice = rng.random()
        if dice < 0.18:
            return h.Range(*rng.choice([(key, ""), _SPACE, (key, "l")]))
        if dice < 0.27:
            return h.Range(*rng.choice([(key, ""), _SPACE]), serializable=True)
        if dice < 0.31:
            return h.Range(*_SPACE, revision=max(1, revision - rng.randrange(20)))
        if dice < 0.56:
            return h.Put(key, self._value())
        if dice < 0.61:
            return h.Put(key, self._value(), lease=rng.choice(LEASES))
        if dice < 0.69:
            return h.Delete(key) if rng.random() < 0.8 else h.Delete("k7", "k9")
        if dice < 0.88:
            return self._optimistic(key)
        if dice < 0.94:
            return self._several()
        if dice < 0.97:
            return h.Grant(rng.choice(LEASES))
        if dice < 0.985:
            return h.Revoke(rng.choice(LEASES))
        return h.Compact(max(1, revision - 500))

    def heard(self, answer: h.Answer) -> None:
        """What is known of keys comes from reads."""
        for result in answer.results:
            for kv in (isinstance(result, h.Ranged) and result.kvs) or ():
                self._known[kv.key] = kv.mod_revision

    def _optimistic(self, key: str) -> h.Txn:
        """As an API server: only if nobody wrote meanwhile, else read again."""
        write = h.Delete(key) if self._rng.random() < 0.15 else h.Put(key, self._value())
        return h.Txn((h.Compare(key, "mod", self._known.get(key, 0)),), (write,), (h.Range(key),))

    def _several(self) -> h.Txn:
        first, second, third = self._rng.sample(KEYS, 3)
        operations = (h.Put(first, self._value()), h.Put(second, self._value()), h.Delete(third), h.Range(*_SPACE))
        return h.Txn((h.Compare(first, "version", 0, "not_equal"),), operations, (h.Put(first, self._value()),))

    def _value(self) -> str:
        return f"{self._client}.{next(self._numbers)}"
