"""Signed tokens: ours are read by others and theirs by us, and nothing else is."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.kit import jws
from minik8s.kit.jws import BadKey, BadToken, SigningKey, verification_key

KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
CLAIMS = {"sub": "x", "exp": 4_000_000_000, "n": [1, {"a": None}]}
PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
FORMS = serialization.PrivateFormat


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_stock_library_reads_what_we_sign_and_we_what_it_signs(algorithm):
    key = KEYS[algorithm]
    ours = SigningKey(key, verification_key(key.public_key()))
    assert jwt.decode(ours.sign(CLAIMS), key.public_key(), algorithms=[algorithm]) == CLAIMS
    assert jwt.get_unverified_header(ours.sign(CLAIMS))["kid"] == ours.public.id
    theirs = jws.parse(jwt.encode(CLAIMS, key, algorithm=algorithm))
    jws.verify(theirs, [ours.public])
    assert theirs.claims == CLAIMS


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_stock_library_reads_our_jwks_and_we_read_those_of_others(algorithm):
    key = KEYS[algorithm]
    public = verification_key(key.public_key())
    token = SigningKey(key, public).sign(CLAIMS)
    assert jwt.decode(token, jwt.PyJWK(public.jwk()).key, algorithms=[algorithm]) == CLAIMS
    jws.verify(jws.parse(token), [jws.from_jwk(public.jwk())])


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_other_rsa_signatures_count_if_the_key_is_for_them(algorithm):
    key = KEYS["RS256"]
    token = jws.parse(jwt.encode(CLAIMS, key, algorithm=algorithm))
    jws.verify(token, [verification_key(key.public_key(), algorithms=[algorithm])])
    with pytest.raises(BadToken):
        jws.verify(token, [verification_key(key.public_key())])


def test_the_key_decides_on_the_algorithm():
    key = verification_key(KEYS["RS256"].public_key(), algorithms=["HS256", "none", "ES256", "RS256"])
    assert key.algorithms == ("RS256",)


def test_keys_come_in_every_usual_form_of_pem(tmp_path):
    private, public = tmp_path / "key", tmp_path / "public"
    for form in (FORMS.PKCS8, FORMS.TraditionalOpenSSL):
        for key in KEYS.values():
            private.write_bytes(key.private_bytes(PEM, form, PLAIN))
            public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
            ids = {jws.read_signing_key(private).public.id, jws.read_verification_key(private).id}
            assert ids == {jws.read_verification_key(public).id}
    private.write_bytes(jws.generate())
    assert jws.read_signing_key(private).public.algorithms == ("ES256",)


UNUSABLE = {
    "empty": b"",
    "garbage": b"garbage",
    "damaged": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "another kind": ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, FORMS.PKCS8, PLAIN),
    "too short": rsa.generate_private_key(65537, 1024).private_bytes(PEM, FORMS.PKCS8, PLAIN),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_keys_that_cannot_be_used_say_so(tmp_path, data):
    file = tmp_path / "key"
    file.write_bytes(data)
    for read in (jws.read_signing_key, jws.read_verification_key):
        with pytest.raises(BadKey):
            read(file)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA", "n": "AA", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        verification_key(KEYS["ES256"].public_key()).jwk() | {"use": "enc"},
    ],
)
def test_jwks_that_are_no_keys_for_signatures_are_refused(jwk):
    with pytest.raises(BadKey):
        jws.from_jwk(jwk)


GOOD = SigningKey(KEYS["ES256"], verification_key(KEYS["ES256"].public_key()))


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
CLAIM_NAMES = st.sampled_from(["alg", "kid", "exp", "nbf", "aud", "iss", "crit", "b64"])
PARTS = st.text() | JSON.map(part) | st.dictionaries(CLAIM_NAMES, JSON).map(part)


@settings(max_examples=150, deadline=None)
@given(st.text() | st.lists(PARTS, min_size=3, max_size=3).map(".".join))
def test_any_text_is_a_token_or_refused_and_never_verifies(text):
    try:
        token = jws.parse(text)
        jws.texts(token.claims, "aud")
        jws.check_times(token.claims, 0.0, 0.0)
    except BadToken:
        return
    with pytest.raises(BadToken):
        jws.verify(token, [GOOD.public])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.characters(codec="ascii"))
def test_a_token_with_one_letter_changed_does_not_verify(place, letter):
    good = GOOD.sign(CLAIMS)
    place %= good.rindex(".")  # Of a signature the last letter has bits that say nothing.
    changed = good[:place] + letter + good[place + 1 :]
    if changed == good:
        return
    with pytest.raises(BadToken):
        jws.verify(jws.parse(changed), [GOOD.public])
