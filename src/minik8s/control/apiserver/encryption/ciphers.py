"""Ways to seal one value, in the formats kube-apiserver writes. Pure but for the random bytes they are given.

aescbc and aesgcm take AES keys of 16, 24 or 32 bytes. aesgcm binds a value to its key in the store, so that nobody
with access to the store can move a Secret under another name.
"""

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

RandomBytes = Callable[[int], bytes]

_BLOCK_BYTES = 16
_NONCE_BYTES = 12


class Unsealable(Exception):
    """The value is damaged, or sealed by another key."""


class Sealer(Protocol):
    """One algorithm with one key."""

    def seal(self, place: bytes, value: bytes, /) -> bytes:
        """The value sealed, for a key of the store."""
        ...

    def unseal(self, place: bytes, sealed: bytes, /) -> bytes:
        """The value. Raises Unsealable."""
        ...


class AesGcm:
    """aesgcm: nonce, ciphertext, tag. A random nonce of 12 bytes: rotate the key before 2^32 writes."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    def seal(self, place: bytes, value: bytes) -> bytes:
        nonce = self._random_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place)

    def unseal(self, place: bytes, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise Unsealable("the value does not match its authentication tag") from error


class AesCbc:
    """aescbc: initialization vector, ciphertext padded as PKCS #7. Says nothing about tampering; aesgcm does."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        self._algorithm = algorithms.AES(key)
        self._random_bytes = random_bytes

    def seal(self, place: bytes, value: bytes) -> bytes:
        vector = self._random_bytes(_BLOCK_BYTES)
        padder = PKCS7(8 * _BLOCK_BYTES).padder()
        padded = padder.update(value) + padder.finalize()
        encryptor = Cipher(self._algorithm, modes.CBC(vector)).encryptor()
        return vector + encryptor.update(padded) + encryptor.finalize()

    def unseal(self, place: bytes, sealed: bytes) -> bytes:
        vector, body = sealed[:_BLOCK_BYTES], sealed[_BLOCK_BYTES:]
        try:
            decryptor = Cipher(self._algorithm, modes.CBC(vector)).decryptor()
            unpadder = PKCS7(8 * _BLOCK_BYTES).unpadder()
            padded = decryptor.update(body) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise Unsealable("invalid padding on input") from error


ALGORITHMS: dict[str, Callable[[bytes, RandomBytes], Sealer]] = {"aesgcm": AesGcm, "aescbc": AesCbc}
"""By the provider's name in an EncryptionConfiguration."""
