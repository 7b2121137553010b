from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from edge_service.redaction import full_config, public_config, secret_values
from edge_service.setting_keys import Key, all_keys
from edge_service.settings import Settings
from edge_service.url_secrets import redact_url, redact_urls_in
from tests.settings_kit import PORCH, load

CANARY = "canary-7d1f"
FULL: dict[str, Any] = {
    "mqtt": {"username": "edge", "password": f"{CANARY}-mqtt"},
    "destination": {"type": "dropbox", "app_key": "abc", "app_secret": f"{CANARY}-app"},
    "cameras": {
        "a": {
            "source": f"http://h/x.jpg?user={CANARY}-user&res=1",
            "auth": {"type": "basic", "username": "u", "password": f"{CANARY}-basic"},
            "headers": {"X-Key": f"{CANARY}-header"},
        },
        "b": {"source": "http://h/", "auth": {"type": "bearer", "token": f"{CANARY}-token"}},
    },
}


def test_the_public_tree_is_complete_and_holds_no_secret() -> None:
    tree = public_config(load(FULL).settings)
    text = json.dumps(tree)
    assert CANARY not in text
    assert tree["mqtt"]["password"] == {"set": True}  # type: ignore[index]
    assert tree["destination"]["app_secret"] == {"set": True}  # type: ignore[index]
    camera = tree["cameras"]["a"]  # type: ignore[index]
    assert camera["source"] == "http://h/x.jpg?user=***&res=1"
    assert camera["auth"] == {"type": "basic", "username": "u", "password": {"set": True}}
    assert camera["headers"] == {"X-Key": {"set": True}}
    assert (camera["interval"], camera["at"], camera["windows"]) == (300, None, [])
    assert public_config(load().settings)["mqtt"]["password"] is None  # type: ignore[index]


def test_every_key_of_the_models_is_in_the_public_tree_under_its_name_in_the_file() -> None:
    window = {"from": "7:00", "to": "8:00"}
    camera = {**PORCH, "windows": [window]}
    tree = public_config(load({"cameras": {"a": camera}, "location": {"latitude": "1", "longitude": "2"}}).settings)

    def check(key: Key, value: object, path: str) -> None:
        if key.kind == "model" and not key.variants:
            assert isinstance(value, dict), path
            assert set(value) == set(key.children), path
            for name, child in key.children.items():
                check(child, value[name], f"{path}.{name}")
        elif key.each and isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                check(key.each, item, path)

    check(all_keys(), tree, "")


def test_the_published_tree_of_a_file_is_a_file_that_means_the_same() -> None:
    settings = load({"cameras": {"a": {"source": "http://h/"}}}).settings
    assert full_config(Settings.model_validate(public_config(settings))) == full_config(settings)


def test_every_secret_is_known_to_the_mask() -> None:
    found = secret_values(load(FULL).settings)
    names = ("mqtt", "app", "user", "basic", "header", "token")
    assert {f"{CANARY}-{name}" for name in names} <= found


def test_what_http_basic_makes_of_a_login_is_a_secret_too() -> None:
    pair = base64.b64encode(f"u:{CANARY}-basic".encode()).decode()
    assert pair in secret_values(load(FULL).settings)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("tok%65n=secret", "tok%65n=***"),
        ("a=1;token=secret;b=2", "a=1;token=***;b=2"),
        ("userpassword=secret", "userpassword=***"),
        ("clientsecret=secret", "clientsecret=***"),
        ("api_key=secret", "api_key=***"),
        ("PWD=secret", "PWD=***"),
        ("keyboard=plain&monkey=plain", "keyboard=plain&monkey=plain"),
    ],
)
def test_a_secret_value_is_known_by_the_name_that_is_meant(query: str, shown: str) -> None:
    assert redact_url(f"http://h/x.jpg?{query}#end") == f"http://h/x.jpg?{shown}#end"


def test_a_path_with_a_query_alone_is_redacted_in_a_text_too() -> None:
    text = "HTTPConnectionPool(host='h'): Max retries exceeded with url: /x.jpg?res=1&token=secret (Caused by it)"
    assert redact_urls_in(text) == text.replace("secret", "***")
