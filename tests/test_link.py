"""The link as values: masking, scopes, tokens' life, sign-ins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.link import (
    MUST_SCOPES,
    SIGN_IN_LIFE,
    WISH_SCOPES,
    Access,
    AppKeys,
    Attempt,
    Link,
    SignIn,
    lacking,
    margin_s,
    masked,
    shown_state,
)
from tests.delivery_kit import START


def _sign_in() -> SignIn:
    redirect = Attempt("w" * 86, "a-state", "http://localhost:8080/oauth/callback")
    return SignIn("the-key", "appkey", START, Attempt("v" * 86), redirect)


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("ada@example.com", "a***@example.com"),
        ("@example.com", "***@example.com"),
        ("nonsense", "***"),
        (None, None),
        ("", None),
    ],
)
def test_an_account_is_recognised_but_not_told(email: str | None, shown: str | None) -> None:
    assert masked(email) == shown


def test_missing_scopes_are_named_in_order() -> None:
    assert lacking(["files.content.write"], MUST_SCOPES) == ()
    assert lacking(["files.content.write"], WISH_SCOPES) == WISH_SCOPES
    assert lacking([], MUST_SCOPES) == MUST_SCOPES


@pytest.mark.parametrize(("life", "margin"), [(14400, 300), (3000, 300), (100, 10), (5, 0.5)])
def test_a_token_is_renewed_a_tenth_of_its_life_ahead_at_most_five_minutes(life: float, margin: float) -> None:
    assert margin_s(life) == margin


@given(st.integers(-(10**6), 10**6))
def test_no_clock_makes_a_token_live_longer_than_it_was_given(skew: int) -> None:
    access = Access("t", START + timedelta(seconds=100), 100.0)
    assert access.left_s(START + timedelta(seconds=skew)) <= 100


def test_what_is_stored_comes_back_and_shows_no_secret() -> None:
    link = Link("appkey", "dbid:x", "refresh-secret", ("a", "b"), "a***@example.com")
    access = Access("access-secret", START, 14400.0)
    sign_in = _sign_in()
    assert Link.unpack(link.pack()) == link
    assert Access.unpack(access.pack()) == access
    assert SignIn.unpack(sign_in.pack()) == sign_in
    assert SignIn.unpack(replace(sign_in, redirect=None).pack()).redirect is None
    shown = f"{link!r} {access!r} {sign_in!r} {AppKeys('k', 'app-secret')!r}"
    for secret in ("refresh-secret", "access-secret", "v" * 86, "w" * 86, "a-state", "the-key", "app-secret"):
        assert secret not in shown


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"key": 1}'])
def test_damaged_texts_raise_what_the_store_expects(text: str) -> None:
    for unpack in (Link.unpack, Access.unpack, SignIn.unpack):
        with pytest.raises((ValueError, KeyError, TypeError)):
            unpack(text)


def test_a_sign_in_lives_fifteen_minutes() -> None:
    sign_in = _sign_in()
    assert sign_in.open_at(START)
    assert sign_in.open_at(START + SIGN_IN_LIFE - timedelta(seconds=1))
    assert not sign_in.open_at(START + SIGN_IN_LIFE)
    assert not sign_in.open_at(START - timedelta(days=1))


def test_key_and_state_are_compared_and_an_empty_state_never_fits() -> None:
    sign_in = _sign_in()
    assert sign_in.has_key("the-key")
    assert not sign_in.has_key("the-kez")
    assert not sign_in.has_key("ключ")
    assert sign_in.has_state("a-state")
    assert not sign_in.has_state("")
    assert not sign_in.with_redirect(Attempt("v" * 64, "another", "r")).has_state("a-state")
    assert not sign_in.with_redirect(Attempt("v" * 64, "another", "r")).has_state("")


def test_the_addresses_ask_for_a_lasting_token_with_pkce_and_no_scope() -> None:
    sign_in = _sign_in()
    assert sign_in.redirect is not None
    for attempt in (sign_in.code, sign_in.redirect):
        address = urlsplit(attempt.address("www.dropbox.com", "appkey"))
        asked = parse_qs(address.query)
        assert (address.scheme, address.netloc, address.path) == ("https", "www.dropbox.com", "/oauth2/authorize")
        assert asked["token_access_type"] == ["offline"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["code_challenge"] == [attempt.challenge]
        assert "scope" not in asked
        assert ("redirect_uri" in asked) == ("state" in asked) == bool(attempt.redirect)
    assert sign_in.code.challenge != sign_in.redirect.challenge


def test_the_challenge_is_that_of_the_standard() -> None:
    attempt = Attempt("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_linking_comes_only_where_there_is_no_link() -> None:
    assert shown_state("unlinked", sign_in_open=True) == "linking"
    assert shown_state("linked", sign_in_open=True) == "linked"
    assert shown_state("revoked", sign_in_open=True) == "revoked"
    assert shown_state("unlinked", sign_in_open=False) == "unlinked"
