"""Configuration of token issuers: upstream's --oidc-* flags, and its AuthenticationConfiguration with CEL. Pure.

Called by `cli/authentication_flags`. All functions raise ValueError, saying which field is wrong and why.
"""

from collections.abc import Callable, Sequence
from typing import Any

from minik8s.control.apiserver.authn.oidc import Claims, JwtConfig, claim_is, claim_text, claim_texts
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authn.users import User

_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1")


def of_flags(
    *,
    issuer_url: str,
    client_id: str,
    username_claim: str,
    username_prefix: str,
    groups_claim: str,
    groups_prefix: str,
    required_claims: Sequence[str],
    signing_algorithms: tuple[str, ...],
    ca_pem: str,
) -> JwtConfig:
    """What --oidc-* flags mean."""
    if not issuer_url.startswith("https://"):
        raise ValueError(f"--oidc-issuer-url: {issuer_url!r} is no https URL")
    if not client_id:
        raise ValueError("--oidc-client-id is needed with --oidc-issuer-url")
    if not username_prefix and username_claim != "email":
        username_prefix = f"{issuer_url}#"  # As upstream: names of different issuers must not be the same user.
    rules = []
    for required in required_claims:
        name, separator, value = required.partition("=")
        if not name or not separator:
            raise ValueError(f"--oidc-required-claim: {required!r} is not NAME=VALUE")
        rules.append(claim_is(name, value))
    return JwtConfig(
        url=issuer_url,
        audiences=(client_id,),
        username=claim_text(username_claim, "" if username_prefix == "-" else username_prefix),
        groups=claim_texts(groups_claim, groups_prefix) if groups_claim else lambda claims: (),
        claim_rules=tuple(rules),
        algorithms=signing_algorithms,
        ca_pem=ca_pem,
    )


def of_document(document: Any) -> tuple[JwtConfig, ...]:
    """The issuers of an AuthenticationConfiguration."""
    if not isinstance(document, dict) or document.get("kind") != "AuthenticationConfiguration":
        raise ValueError("must be an AuthenticationConfiguration")
    if document.get("apiVersion") not in _VERSIONS:
        raise ValueError(f"apiVersion: must be one of {', '.join(_VERSIONS)}")
    if unknown := set(document) - {"kind", "apiVersion", "jwt"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: not supported; anonymous callers are told by --anonymous-auth")
    found = tuple(_jwt(item, f"jwt[{number}]") for number, item in enumerate(document.get("jwt") or ()))
    urls = [config.url for config in found]
    for url in urls:
        if urls.count(url) > 1:
            raise ValueError(f"jwt: the issuer {url} is there twice")
    return found


def _jwt(item: Any, path: str) -> JwtConfig:
    issuer, mappings = _object(item, "issuer", path), _object(item, "claimMappings", path)
    url = issuer.get("url", "")
    for name in ("url", "discoveryURL"):
        value = issuer.get(name, "https://" if name == "discoveryURL" else "")
        if not isinstance(value, str) or not value.startswith("https://"):
            raise ValueError(f"{path}.issuer.{name}: {value!r} is no https URL")
    audiences = issuer.get("audiences") or ()
    if not audiences or not all(isinstance(each, str) and each for each in audiences):
        raise ValueError(f"{path}.issuer.audiences: at least one is needed")
    at = f"{path}.claimMappings"
    username = _object(mappings, "username", at)
    if "expression" in username:
        read_name = _expression_text(username["expression"], f"{at}.username.expression")
    else:
        if "prefix" not in username:
            raise ValueError(f"{at}.username.prefix: needed beside a claim; it may be empty")
        read_name = claim_text(_claim(username, f"{at}.username"), username["prefix"])
    return JwtConfig(
        url=url,
        audiences=tuple(audiences),
        username=read_name,
        groups=_groups(mappings.get("groups") or {}, f"{at}.groups"),
        uid=_uid(mappings.get("uid") or {}, f"{at}.uid"),
        extra=tuple(
            (each["key"], _expression_texts(each["valueExpression"], f"{at}.extra[{number}].valueExpression"))
            for number, each in enumerate(mappings.get("extra") or ())
        ),
        claim_rules=tuple(
            _claim_rule(each, f"{path}.claimValidationRules[{number}]")
            for number, each in enumerate(item.get("claimValidationRules") or ())
        ),
        user_rules=tuple(
            _user_rule(each, f"{path}.userValidationRules[{number}]")
            for number, each in enumerate(item.get("userValidationRules") or ())
        ),
        discovery_url=issuer.get("discoveryURL", ""),
        ca_pem=issuer.get("certificateAuthority", ""),
    )


def _groups(mapping: Any, path: str) -> Callable[[Claims], tuple[str, ...]]:
    if "expression" in mapping:
        return _expression_texts(mapping["expression"], f"{path}.expression")
    return claim_texts(_claim(mapping, path), mapping.get("prefix", "")) if mapping else lambda claims: ()


def _uid(mapping: Any, path: str) -> Callable[[Claims], str]:
    if "expression" in mapping:
        return _expression_text(mapping["expression"], f"{path}.expression")
    return claim_text(_claim(mapping, path)) if mapping else lambda claims: ""


def _claim_rule(rule: Any, path: str) -> Callable[[Claims], None]:
    if "claim" in rule:
        return claim_is(rule["claim"], rule.get("requiredValue", ""))
    evaluate = _program(rule.get("expression", ""), "claims", f"{path}.expression")
    message = rule.get("message") or f"validation expression '{rule.get('expression', '')}' failed"

    def check(claims: Claims) -> None:
        if evaluate(claims) is not True:
            raise Refused(f"oidc: {message}")

    return check


def _user_rule(rule: Any, path: str) -> Callable[[User], None]:
    evaluate = _program(rule.get("expression", ""), "user", f"{path}.expression")
    message = rule.get("message") or f"validation expression '{rule.get('expression', '')}' failed"

    def check(user: User) -> None:
        empty = {"username": "", "uid": "", "groups": [], "extra": {}}
        if evaluate(empty | user.info()) is not True:
            raise Refused(f"oidc: {message}")

    return check


def _expression_text(source: str, path: str) -> Callable[[Claims], str]:
    evaluate = _program(source, "claims", path)

    def read(claims: Claims) -> str:
        value = evaluate(claims)
        if not isinstance(value, str):
            raise Refused(f"oidc: {path} does not give text")
        return value

    return read


def _expression_texts(source: str, path: str) -> Callable[[Claims], tuple[str, ...]]:
    evaluate = _program(source, "claims", path)

    def read(claims: Claims) -> tuple[str, ...]:
        value = evaluate(claims)
        values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if not all(isinstance(each, str) for each in values):
            raise Refused(f"oidc: {path} gives something that is not text")
        return tuple(each for each in values if each)

    return read


def _program(source: str, variable: str, path: str) -> Callable[[Any], Any]:
    from minik8s.control.apiserver.cel import DYN, CelError, compile  # Few clusters have expressions here.

    if not source:
        raise ValueError(f"{path}: needed")
    try:
        program = compile(source, {variable: DYN})
    except CelError as error:
        raise ValueError(f"{path}: {error}") from None

    def evaluate(value: Any) -> Any:
        try:
            return program.evaluate({variable: value})
        except CelError as error:
            raise Refused(f"oidc: {path}: {error}") from None

    return evaluate


def _object(owner: Any, name: str, path: str) -> dict[str, Any]:
    value = owner.get(name) if isinstance(owner, dict) else None
    if not isinstance(value, dict):
        raise ValueError(f"{path}.{name}: needed")
    return value


def _claim(mapping: dict[str, Any], path: str) -> str:
    claim = mapping.get("claim")
    if not isinstance(claim, str) or not claim:
        raise ValueError(f"{path}: a claim or an expression is needed")
    return claim
