"""What others need to check our ServiceAccounts' tokens by themselves: our keys, and where they are (OpenID discovery).

Served by `http` through `documents`, to whoever may get these paths: as upstream, every ServiceAccount.
"""

import msgspec

from minik8s.control.apiserver.authn.accounts import AccountConfig

JWKS_PATH = "/openid/v1/jwks"
CONFIGURATION_PATH = "/.well-known/openid-configuration"


def documents(config: AccountConfig, address: str) -> dict[str, tuple[bytes, str]]:
    """(body, content type) by path; none if no tokens are issued. `address`: https://HOST:PORT of this server."""
    if config.signing_key is None:
        return {}
    keys = {key.id: key for key in (config.signing_key.public, *config.keys)}
    algorithms = sorted({algorithm for key in keys.values() for algorithm in key.algorithms})
    configuration = {
        "issuer": config.issuers[0],
        "jwks_uri": config.jwks_uri or f"{address}{JWKS_PATH}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    }
    jwks = {"keys": [key.jwk() for key in keys.values()]}
    return {
        JWKS_PATH: (msgspec.json.encode(jwks), "application/jwk-set+json"),
        CONFIGURATION_PATH: (msgspec.json.encode(configuration), "application/json"),
    }
