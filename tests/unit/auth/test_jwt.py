"""Tokens of an identity provider."""

import json
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import SecretStr
from starlette.datastructures import Headers

from serve_app.auth.identity import Identity
from serve_app.auth.jwt_authenticator import JwtAuthenticator, KeySet, claim, identifiers
from serve_app.errors import ConfigurationError, PermissionDenied, Unauthenticated
from serve_app.settings.identity import JwtSettings

SECRET = "s" * 40
# As Supabase signs its users' tokens.
CLAIMS = {
    "sub": "0b9e",
    "role": "authenticated",
    "aud": "authenticated",
    "iss": "https://p.supabase.co/auth/v1",
    "app_metadata": {"organizations": ["1", 7]},
    "user_metadata": {"organizations": ["2"]},
}


def settings(**fields: Any) -> JwtSettings:
    values = {"secret": SecretStr(SECRET), "audience": "authenticated", "issuer": CLAIMS["iss"], **fields}
    return JwtSettings(**values)


def claims(**changed: Any) -> dict[str, Any]:
    merged = {**CLAIMS, "exp": int(time.time()) + 600, **changed}
    return {name: value for name, value in merged.items() if value is not None}


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": kid} if kid else None)


async def identify(text: str, asked: JwtAuthenticator | None = None) -> Identity:
    return await (asked or JwtAuthenticator(settings())).identify(
        Headers({"authorization": f"Bearer {text}"})
    )


@lru_cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_set(*kids: str) -> str:
    rsa_jwk = json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key()))
    ec_jwk = json.loads(ECAlgorithm.to_jwk(ec_key().public_key()))
    # An encryption key and a kind that is not taken stand in real sets too.
    more = [{**rsa_jwk, "use": "enc", "kid": "enc"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}]
    return json.dumps(
        {"keys": [{**(ec_jwk if k.startswith("e") else rsa_jwk), "kid": k} for k in kids] + more}
    )


async def test_a_token_of_the_shared_secret_says_who_asks() -> None:
    found = await identify(token())
    assert (found.user_id, found.organizations, found.policy) == ("0b9e", ("1", "7"), None)
    assert not found.all_organizations


@pytest.mark.parametrize(
    "text",
    [
        lambda: token("t" * 40),
        lambda: token(exp=int(time.time()) - 40),
        lambda: token(exp=None),
        lambda: token(nbf=int(time.time()) + 90),
        lambda: token(aud="another"),
        lambda: token(aud=None),
        lambda: token(iss="https://evil.example"),
        lambda: token(iss=None),
        lambda: token(sub=None),
        lambda: token(sub=""),
        lambda: token(sub="a\nb"),
        lambda: jwt.encode(claims(), "", algorithm="none"),
        lambda: token(algorithm="HS512", key="s" * 70),
        lambda: "a.b.c",
        lambda: "x" * 9000,
        lambda: token() + "x",
    ],
)
async def test_what_does_not_hold_is_refused(text: Callable[[], str]) -> None:
    with pytest.raises(Unauthenticated):
        await identify(text())


async def test_clocks_may_differ_a_little() -> None:
    assert (await identify(token(exp=int(time.time()) - 10))).user_id == "0b9e"
    strict = JwtAuthenticator(settings(leeway_s=0.0))
    with pytest.raises(Unauthenticated, match="expired"):
        await identify(token(exp=int(time.time()) - 10), strict)


async def test_a_key_set_takes_both_kinds_of_keys_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(key_set("r1", "e1"))
    asked = JwtAuthenticator(settings(secret=None, jwks_file=path))
    assert (await identify(token(rsa_key(), "RS256", "r1"), asked)).user_id == "0b9e"
    assert (await identify(token(ec_key(), "ES256", "e1"), asked)).user_id == "0b9e"
    public = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = [
        # The public key taken for an HMAC secret, the classic confusion; PyJWT refuses to make one.
        _hmac_forgery(public),
        token(rsa_key(), "RS256", "unknown"),
        token(rsa_key(), "RS256"),
        token(rsa_key(), "RS256", "e1"),
        token(rsa_key(), "RS256", "enc"),
        token("secret" * 7, "HS256", "oct"),
    ]
    for text in forged:
        with pytest.raises(Unauthenticated):
            await identify(text, asked)


def _hmac_forgery(public: bytes) -> str:
    import base64
    import hashlib
    import hmac

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", "kid": "r1"}) + b"." + part(claims())
    signature = base64.urlsafe_b64encode(hmac.new(public, signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + signature).decode()


async def test_a_rotated_key_is_found_and_forged_ids_do_not_flood_the_provider() -> None:
    clock, reads, sets = [1000.0], [0], [key_set("r1")]

    async def read() -> str:
        reads[0] += 1
        if not sets[0]:
            raise OSError("away")
        return sets[0]

    keys = KeySet(read, reuse_s=300.0, clock=lambda: clock[0])
    assert await keys.key("r1") is not None
    sets[0] = key_set("r2")
    for n in range(50):
        assert await keys.key(f"forged-{n}") is None
    assert reads[0] == 1
    clock[0] += 11
    assert await keys.key("r2") is not None
    assert await keys.key("r1") is None
    assert reads[0] == 2
    sets[0] = ""
    clock[0] += 400
    assert await keys.key("r2") is not None, "the last keys stay while the provider is away"


async def test_roles_choose_policies_and_others_are_refused() -> None:
    asked = JwtAuthenticator(settings(policies={"authenticated": "restricted"}))
    assert (await identify(token(), asked)).policy == "restricted"
    for role in ("service_role", None, ["authenticated"]):
        with pytest.raises(PermissionDenied) as refused:
            await identify(token(role=role), asked)
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "b", "a"], ("a", "b")),
        ("a", ("a",)),
        (3, ("3",)),
        (None, ()),
        ([], ()),
        (["a", None], ()),
        (["a", {"id": "b"}], ()),
        ([True], ()),
        ({"a": 1}, ()),
        (["a" * 201], ()),
    ],
)
def test_a_list_that_is_not_understood_gives_no_organization(value: Any, expected: tuple[str, ...]) -> None:
    assert identifiers(value) == expected


def test_paths_lead_into_objects_and_whole_names_come_first() -> None:
    assert claim({"a": {"b": 1}}, "a.b") == 1
    assert claim({"https://x.org/orgs": 2}, "https://x.org/orgs") == 2
    assert claim({"a": [1]}, "a.b") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_claims_give_an_identity_or_a_refusal(sub: Any, metadata: Any) -> None:
    asked = JwtAuthenticator(settings())
    try:
        found = asked._identity({"sub": sub, "app_metadata": metadata})
    except ValueError:
        return
    assert isinstance(sub, str | int)
    assert all(isinstance(organization, str) for organization in found.organizations)


def test_a_file_without_keys_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for name in ("bad.json", "none.json"):
        with pytest.raises(ConfigurationError, match="JWKS_FILE"):
            JwtAuthenticator(settings(secret=None, jwks_file=tmp_path / name))
