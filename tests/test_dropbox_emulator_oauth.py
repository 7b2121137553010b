"""The emulator's sign-in: the page, codes, PKCE, refresh, scopes, the end of a link."""

from __future__ import annotations

import re
import threading
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests import emulator_kit
from tests.dropbox_emulator.people import SCOPES
from tests.emulator_kit import asked, failed, sdk, sdk_client

if TYPE_CHECKING:
    from tests.dropbox_emulator import DropboxEmulator

dropbox_emulator = emulator_kit.dropbox_emulator
CALLBACK = "http://localhost:8080/oauth/callback"


def flow(emulator: DropboxEmulator, **options: Any) -> Any:
    given: dict[str, Any] = {"use_pkce": True, "token_access_type": "offline", "ca_certs": str(emulator.ca_file)}
    return sdk().DropboxOAuth2FlowNoRedirect(emulator.app.key, **(given | options))


def redirect_flow(emulator: DropboxEmulator, session: dict[str, str]) -> Any:
    options = {"use_pkce": True, "token_access_type": "offline", "ca_certs": str(emulator.ca_file)}
    return sdk().DropboxOAuth2Flow(emulator.app.key, CALLBACK, session, "csrf", **options)


def press(emulator: DropboxEmulator, url: str, decision: str, account: str = "ada") -> requests.Response:
    """Open the page and press a button of it, as a browser does."""
    ca = str(emulator.ca_file)
    page = requests.get(url, verify=ca, timeout=10)
    assert page.status_code == 200, page.text
    form = {name: unescape(value) for name, value in re.findall(r'type=hidden name="(.*?)" value="(.*?)"', page.text)}
    form |= {"account": emulator.accounts[account].account_id, "decision": decision}
    return requests.post(f"{emulator.url}/oauth2/authorize", form, verify=ca, timeout=10, allow_redirects=False)


def refusal(emulator: DropboxEmulator, **form: str) -> dict[str, str]:
    """What the token endpoint says against a request."""
    answer = requests.post(f"{emulator.url}/oauth2/token", form, verify=str(emulator.ca_file), timeout=10)
    assert answer.status_code == 400
    said: dict[str, str] = answer.json()
    return said


def invalid_grant(description: str) -> dict[str, str]:
    return {"error": "invalid_grant", "error_description": description}


def test_a_pasted_code_becomes_a_link_that_refreshes(dropbox_emulator: DropboxEmulator) -> None:
    sign_in = flow(dropbox_emulator)
    page = press(dropbox_emulator, sign_in.start(), "allow", "bob").text
    code = re.findall(r'id="auth-code".*?value="(.*?)"', page)[0]
    result = sign_in.finish(code)
    assert result.account_id == dropbox_emulator.accounts["bob"].account_id
    assert result.scope == " ".join(SCOPES)
    options = {"oauth2_access_token": None, "oauth2_refresh_token": result.refresh_token}
    with sdk_client(dropbox_emulator, **options) as client:
        assert client.users_get_current_account().email == "bob@example.org"


def test_a_redirect_brings_code_and_state_back(dropbox_emulator: DropboxEmulator) -> None:
    session: dict[str, str] = {}
    sign_in = redirect_flow(dropbox_emulator, session)
    back = press(dropbox_emulator, sign_in.start("mine"), "allow")
    assert back.status_code == 302
    location = back.headers["Location"]
    assert location.startswith(CALLBACK + "?")
    result = sign_in.finish({name: values[0] for name, values in parse_qs(urlsplit(location).query).items()})
    assert (result.url_state, result.account_id) == ("mine", dropbox_emulator.accounts["ada"].account_id)


def test_a_denial_comes_back_as_access_denied(dropbox_emulator: DropboxEmulator) -> None:
    session: dict[str, str] = {}
    sign_in = redirect_flow(dropbox_emulator, session)
    location = press(dropbox_emulator, sign_in.start(), "deny").headers["Location"]
    given = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    assert given["error"] == "access_denied"
    with pytest.raises(sdk().oauth.NotApprovedException):
        sign_in.finish(given)
    assert 'id="denied"' in press(dropbox_emulator, flow(dropbox_emulator).start(), "deny").text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "nobody"}, "Unknown client_id"),
        ({"redirect_uri": CALLBACK + "/"}, "Invalid redirect_uri"),
        ({"response_type": "token"}, "Invalid response_type"),
        ({"code_challenge": "short"}, "Invalid code_challenge"),
        ({"code_challenge_method": "S512"}, "Invalid code_challenge_method"),
        ({"scope": "team_data.member"}, "Invalid scope"),
        ({"token_access_type": "eternal"}, "Invalid token_access_type"),
    ],
)
def test_the_page_refuses_what_is_not_registered(
    dropbox_emulator: DropboxEmulator, changes: dict[str, str], said: str
) -> None:
    given = asked(flow(dropbox_emulator).start()) | changes
    url = f"{dropbox_emulator.url}/oauth2/authorize"
    page = requests.get(url, given, verify=str(dropbox_emulator.ca_file), timeout=10, allow_redirects=False)
    assert (page.status_code, said in page.text) == (400, True), page.text


def test_only_https_or_this_machine_can_be_registered(dropbox_emulator: DropboxEmulator) -> None:
    uris = ("http://192.168.1.5:8080/cb", "https://edge.example.org/cb", "http://127.0.0.1:9/cb")
    dropbox_emulator.app.redirect_uris = uris
    assert [dropbox_emulator.app.allows_redirect(uri) for uri in uris] == [False, True, True]


def test_what_was_asked_is_on_the_record(dropbox_emulator: DropboxEmulator) -> None:
    press(dropbox_emulator, flow(dropbox_emulator, scope=["files.content.write"]).start(), "allow")
    assert dropbox_emulator.cloud.authorisations[0]["scope"] == "files.content.write"
    dropbox_emulator.app.refuse_scope = True
    url = flow(dropbox_emulator, scope=["files.content.write"]).start()
    assert requests.get(url, verify=str(dropbox_emulator.ca_file), timeout=10).status_code == 400


def test_a_code_works_once_with_its_own_verifier_and_redirect(dropbox_emulator: DropboxEmulator) -> None:
    sign_in = flow(dropbox_emulator)
    code = dropbox_emulator.allow(asked(sign_in.start()))
    form = {"grant_type": "authorization_code", "client_id": dropbox_emulator.app.key, "code": code}
    assert refusal(dropbox_emulator, **form, code_verifier="x" * 50) == invalid_grant("invalid code verifier")
    other = refusal(dropbox_emulator, **form, code_verifier=sign_in.code_verifier, redirect_uri=CALLBACK)
    assert other == invalid_grant("redirect_uri mismatch")
    sign_in.finish(code)
    used = refusal(dropbox_emulator, **form, code_verifier=sign_in.code_verifier)
    assert used == invalid_grant("code has already been used")
    unknown = refusal(dropbox_emulator, **(form | {"code": "guess"}))
    assert unknown == invalid_grant("code doesn't exist or has expired")


def test_a_code_dies_soon(dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.behaviour.code_life = 0
    sign_in = flow(dropbox_emulator)
    with pytest.raises(requests.HTTPError) as caught:
        sign_in.finish(dropbox_emulator.allow(asked(sign_in.start())))
    assert caught.value.response is not None
    assert caught.value.response.json() == invalid_grant("code doesn't exist or has expired")


def test_without_pkce_the_secret_is_needed_and_a_wrong_one_never_passes(dropbox_emulator: DropboxEmulator) -> None:
    app = dropbox_emulator.app
    sign_in = flow(dropbox_emulator, use_pkce=False, consumer_secret=app.secret)
    code = dropbox_emulator.allow(asked(sign_in.start()))
    form = {"grant_type": "authorization_code", "client_id": app.key, "code": code}
    bad_client = {"error": "invalid_client: Invalid client_id or client_secret"}
    assert refusal(dropbox_emulator, **form) == bad_client
    assert refusal(dropbox_emulator, **form, client_secret="wrong") == bad_client
    result = sign_in.finish(code)
    refresh = {"grant_type": "refresh_token", "client_id": app.key, "refresh_token": result.refresh_token}
    assert refusal(dropbox_emulator, **refresh) == bad_client
    options = {"oauth2_access_token": None, "oauth2_refresh_token": result.refresh_token}
    bad_input = sdk().exceptions.BadInputError
    with (
        sdk_client(dropbox_emulator, app_secret="wrong", **options) as client,
        pytest.raises(bad_input, match="invalid_client"),
    ):
        client.users_get_current_account()
    with sdk_client(dropbox_emulator, app_secret=app.secret, **options) as client:
        client.users_get_current_account()


def test_an_online_link_has_no_refresh_token(dropbox_emulator: DropboxEmulator) -> None:
    sign_in = flow(dropbox_emulator, token_access_type=None)
    assert sign_in.finish(dropbox_emulator.allow(asked(sign_in.start()))).refresh_token == ""


def test_a_token_past_its_life_is_refreshed_by_the_sdk(dropbox_emulator: DropboxEmulator) -> None:
    grant = dropbox_emulator.grant(expires_in=0.05)
    threading.Event().wait(0.1)
    with sdk_client(dropbox_emulator, grant) as client, pytest.raises(sdk().exceptions.AuthError) as caught:
        client.users_get_current_account()
    assert caught.value.error.is_expired_access_token()
    dropbox_emulator.behaviour.token_life = 5
    with sdk_client(dropbox_emulator, grant, oauth2_refresh_token=grant.refresh_token) as client:
        client.users_get_current_account()
        dropbox_emulator.expire_tokens()
        client._oauth2_access_token_expiration = None
        client.users_get_current_account()
    assert grant.refreshes == 2


def test_refresh_tokens_that_are_no_good_say_why(dropbox_emulator: DropboxEmulator) -> None:
    grant = dropbox_emulator.grant()
    form = {"grant_type": "refresh_token", "client_id": dropbox_emulator.app.key}
    assert refusal(dropbox_emulator, **form, refresh_token="x") == invalid_grant("refresh token is malformed")
    dropbox_emulator.revoke()
    dead = refusal(dropbox_emulator, **form, refresh_token=str(grant.refresh_token))
    assert dead == invalid_grant("refresh token is invalid or revoked")
    assert refusal(dropbox_emulator, client_id=dropbox_emulator.app.key)["error"] == "unsupported_grant_type"


def test_revoke_ends_the_token_its_siblings_and_the_refresh_token(dropbox_emulator: DropboxEmulator) -> None:
    grant, bystander = dropbox_emulator.grant(), dropbox_emulator.grant()
    options = {"oauth2_refresh_token": grant.refresh_token}
    auth_error = sdk().exceptions.AuthError
    with sdk_client(dropbox_emulator, grant) as sibling, sdk_client(dropbox_emulator, grant, **options) as client:
        client.users_get_current_account()
        client.auth_token_revoke()
        for one in (sibling, client):
            with pytest.raises(auth_error) as caught:
                one.users_get_current_account()
            assert caught.value.error.is_invalid_access_token()
    with sdk_client(dropbox_emulator, bystander) as client:
        client.users_get_current_account()


def test_a_token_without_the_scope_is_told_which_one(dropbox_emulator: DropboxEmulator) -> None:
    grant = dropbox_emulator.grant(scopes=("account_info.read",))
    with sdk_client(dropbox_emulator, grant) as client:
        client.users_get_current_account()
        with pytest.raises(sdk().exceptions.AuthError) as caught:
            client.files_upload(b"x", "/a")
        assert caught.value.error.get_missing_scope().required_scope == "files.content.write"
        dropbox_emulator.app.scopes = ("account_info.read",)
        with pytest.raises(sdk().exceptions.BadInputError, match=r"files\.metadata\.read"):
            client.files_get_metadata("/a")


def test_a_suspended_account_and_a_strange_token_are_refused(dropbox_emulator: DropboxEmulator) -> None:
    auth_error = sdk().exceptions.AuthError
    with sdk_client(dropbox_emulator, oauth2_access_token="sl.strange") as client:
        with pytest.raises(auth_error) as caught:
            client.users_get_space_usage()
        assert caught.value.error.is_invalid_access_token()
    with sdk_client(dropbox_emulator) as client:
        dropbox_emulator.accounts["ada"].suspended = True
        with pytest.raises(auth_error) as caught:
            client.users_get_space_usage()
        assert caught.value.error.is_user_suspended()


def test_tokens_and_links_end_on_order(dropbox_emulator: DropboxEmulator) -> None:
    auth_error = sdk().exceptions.AuthError
    grant = dropbox_emulator.grant()
    with sdk_client(dropbox_emulator, grant) as client:
        dropbox_emulator.order("expired_token")
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_expired_access_token()
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_expired_access_token()
    with sdk_client(dropbox_emulator, grant, oauth2_refresh_token=grant.refresh_token) as client:
        client.files_upload(b"x", "/a")
        dropbox_emulator.order("user_suspended")
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_user_suspended()
        dropbox_emulator.order("invalid_token")
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_invalid_access_token()
        dropbox_emulator.order("missing_scope", scope="files.metadata.read")
        error = failed(auth_error, client.files_get_metadata, "/a").error
        assert error.get_missing_scope().required_scope == "files.metadata.read"
        dropbox_emulator.order("revoked_link")
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_invalid_access_token()
        client._oauth2_access_token_expiration = None
        assert failed(auth_error, client.files_upload, b"x", "/a").error.is_invalid_access_token()
    assert not grant.alive


def test_the_token_endpoint_fails_on_order(dropbox_emulator: DropboxEmulator) -> None:
    refresh_token = dropbox_emulator.grant().refresh_token
    options: dict[str, Any] = {"oauth2_access_token": None, "oauth2_refresh_token": refresh_token}
    with sdk_client(dropbox_emulator, **options) as client:
        dropbox_emulator.order("grant_error", route="oauth2/token", error="invalid_client: Invalid client_id")
        failed(sdk().exceptions.BadInputError, client.users_get_current_account)
        dropbox_emulator.order("grant_error", route="oauth2/*")
        failed(sdk().exceptions.AuthError, client.users_get_current_account)
        dropbox_emulator.order("server_error", route="oauth2/token")
        failed(sdk().exceptions.InternalServerError, client.users_get_current_account)
        client.users_get_current_account()
