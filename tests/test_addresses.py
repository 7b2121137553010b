from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.addresses import address_refused, host_fault, host_refused, origin, split_url
from edge_service.url_secrets import drop_hidden, has_hidden, redact_url, redact_urls_in, restore_url


@pytest.mark.parametrize(
    "host", ["cam", "192.168.1.20", "a-b.example.org", "::1", "fe80::1%eth0", "cam_1", "münchen.de", "h."]
)
def test_a_host_that_can_exist_has_no_fault(host: str) -> None:
    assert host_fault(host) is None


@pytest.mark.parametrize(
    "host", ["", "a..b", "-a", "a-", "a" * 64, ".".join(["a" * 60] * 5), ":::", "a!b", ".", "a..ü"]
)
def test_a_host_that_cannot_exist_has_a_fault(host: str) -> None:
    assert host_fault(host)


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/",
        "ftp://h/",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://u:p@h/",
        "http://u@h/",
        "http://h:99999/",
        "http://h:0/",
        "http://h:/",
        "http://h /",
        "http://h\\@x/",
        "//h/",
        "http://[::1",
        "http://[zz]/",
        "http://h:8a/",
        "http://h\r\nX: y/",
    ],
)
def test_a_url_that_cannot_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|is|must|names|holds) "):
        split_url(url, ("http", "https"))


def test_an_origin_is_the_same_however_it_is_written() -> None:
    assert origin("HTTP://Cam.Local/x") == origin("http://cam.local:80/y?z") == "http://cam.local:80"
    assert origin("http://0x7f.1/") == origin("http://127.0.0.1/")
    assert origin("https://h/") != origin("http://h/")
    assert origin("http://h:81/") != origin("http://h/")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "x.localhost", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]",
        "::ffff:127.0.0.1", "0.0.0.0", "0",
        "169.254.169.254", "fe80::1", "metadata.google.internal", "::", "::7f00:1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "224.0.0.1", "100.100.100.200",
    ],
)  # fmt: skip
def test_a_name_for_a_place_inside_is_refused_in_any_form(host: str) -> None:
    assert host_refused(host)


@pytest.mark.parametrize(
    "host", ["192.168.1.20", "10.0.0.1", "cam.local", "8.8.8.8", "fd00::1", "1.2.3", "2001:db8::1"]
)
def test_a_camera_in_the_network_is_not_refused(host: str) -> None:
    assert not host_refused(host)


@given(st.ip_addresses(network="127.0.0.0/8"))
def test_every_loopback_address_is_refused(address: object) -> None:
    assert address_refused(str(address))
    assert address_refused(f"::ffff:{address}")


def test_a_scope_does_not_hide_a_link_local_address() -> None:
    assert address_refused("fe80::1%eth0")


def test_secret_query_values_are_hidden_and_nothing_else_changes() -> None:
    url = "http://h:81/x.jpg?User=me&res=640&pwd=a%20b&&key=&api_key=9#top"
    assert redact_url(url) == "http://h:81/x.jpg?User=***&res=640&pwd=***&&key=&api_key=***#top"
    assert redact_url("http://me:word@h/x") == "http://h/x"
    assert redact_url("http://h/x?keyframe=1&monkey=2") == "http://h/x?keyframe=1&monkey=2"


def test_addresses_within_a_text_are_redacted() -> None:
    text = "Max retries: http://h/x?token=abc (Caused by /x?a=1&password=abc)"
    assert "abc" not in redact_urls_in(text)


@given(st.lists(st.tuples(st.sampled_from(["user", "pwd", "a", "token"]), st.text("abc%20+*", max_size=6)), max_size=6))
def test_a_redacted_url_is_restored_to_itself(pairs: list[tuple[str, str]]) -> None:
    url = "http://h/x" + ("?" if pairs else "") + "&".join(f"{name}={value}" for name, value in pairs)
    assert restore_url(redact_url(url), url) == url


def test_a_hidden_value_without_a_stored_one_is_dropped() -> None:
    assert has_hidden("http://h/?a=1&pwd=***")
    assert drop_hidden("http://h/?a=1&pwd=***&b=2#x") == "http://h/?a=1&b=2#x"
    assert drop_hidden("http://h/?pwd=***") == "http://h/"
