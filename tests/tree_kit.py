"""Whole files of settings, as Hypothesis strategies: all that a person may write, not only what people do write.

``TREES`` are trees as the file's reader makes them before :func:`tests.settings_kit.load`; every one of them is valid.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from edge_service.units import id_fault

IDS = (
    st.from_regex(r"[a-z0-9]{1,8}([_-][a-z0-9]{1,8}){0,2}", fullmatch=True)
    | st.sampled_from(["a-b", "a_b", "capture", "last", "status", "cam", "0"])
    | st.text("a7", min_size=32, max_size=32)
).filter(lambda text: id_fault(text) is None)
TOPICS = st.sampled_from(["edge_service", "home/edge", "Ünï/x y", "a-b", "a__b", "0", "x" * 100, "家/📷"])
PREFIXES = st.sampled_from(["homeassistant", "ha/lab", "家", ""])
ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=64)
NAMES = ANY | st.sampled_from(["{{ 1 / 0 }}", "{% if", "None", "unknown", "null", "'", '"', "\\", "  ", "Front porch"])
WORDS = st.text("abcXYZ019%&='~", max_size=60)
HOSTS = st.sampled_from(["192.168.1.20", "cam.lan", "[fd00::1]:8080", "xn--kamera-9za.example", "127.0.0.1:1"])
SECRETS = st.sampled_from(["hunter2", "{{ x }}", "***", "ü"])
FOLDERS = st.sampled_from(["/Timelapse", "/", "", "a/b", "Ünï {{ x }}", "/".join(["x" * 60] * 5), "None", "'"])
TIMES = st.sampled_from(["00:00", "07:05", "23:59", "sunset-30m", "sunrise+1h"])
INTERVALS = st.integers(5, 86_400) | st.sampled_from(["5s", "5m", "1h30m", "1d"])
PLANS: Any = st.one_of(
    st.just({}),
    INTERVALS.map(lambda value: {"interval": value}),
    st.lists(TIMES, min_size=1, max_size=4, unique=True).map(lambda value: {"at": value}),
)
CREDENTIALS = st.one_of(
    st.none(),
    st.builds(
        lambda kind, user, word: {"type": kind, "username": user, "password": word},
        st.sampled_from(["basic", "digest"]),
        st.sampled_from(["u", "ü ü"]),
        SECRETS,
    ),
    SECRETS.map(lambda word: {"type": "bearer", "token": word}),
)


@st.composite
def _windows(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        begin, end = draw(st.lists(TIMES, min_size=2, max_size=2, unique=True))
        days = draw(st.sampled_from([["mon-fri"], ["sun", "wed"], ["sat-mon"]]))
        found.append({"days": days, "from": begin, "to": end, **draw(PLANS)})
    return found


@st.composite
def _source(draw: st.DrawFn) -> str:
    path, key, value = draw(WORDS), draw(st.sampled_from(["token", "pwd", "channel", "q"])), draw(WORDS)
    padding = "x" * draw(st.sampled_from([0, 0, 250, 700]))
    path, value = (text.replace("%", "%25") for text in (path, value))
    scheme = draw(st.sampled_from(["http", "https"]))
    return f"{scheme}://{draw(HOSTS)}/{path}{padding}?{key}={value.replace('&', '')}"


@st.composite
def _camera(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "name": draw(NAMES),
        "source": draw(_source()),
        "auth": draw(CREDENTIALS),
        "headers": draw(st.dictionaries(st.sampled_from(["X-Key", "Cookie"]), SECRETS, max_size=2)),
        "verify_tls": draw(st.booleans()),
        "timeout": draw(st.sampled_from(["10s", 0.5, 300])),
        "max_bytes": draw(st.sampled_from(["20MB", 1000])),
        "windows": draw(_windows()),
        "min_completeness": draw(st.sampled_from([0, 0.5, "0.9", 1])),
        **draw(PLANS),
    }


def _dropbox(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "type": "dropbox",
        "app_key": draw(st.sampled_from([None, "abc", "x-y_1"])),
        "app_secret": draw(st.none() | SECRETS),
        "folder": draw(FOLDERS),
        "manifest": draw(st.booleans()),
    }


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """One file."""
    folder = {"type": "folder", "path": "/mnt/x", "folder": draw(FOLDERS)}
    return {
        "node": draw(IDS),
        "timezone": draw(st.sampled_from(["UTC", "Europe/London", "Asia/Kathmandu", "America/St_Johns"])),
        "location": {"latitude": draw(st.integers(-90, 90)), "longitude": draw(st.integers(-180, 180))},
        "data_dir": draw(st.sampled_from(["./data", "/var/lib/x y"])),
        "log": {
            "level": draw(st.sampled_from(["debug", "info", "warning", "error"])),
            "format": draw(st.sampled_from(["text", "json"])),
        },
        "mqtt": {
            "url": draw(st.sampled_from(["mqtt://localhost", "wss://h:1/x", "unix:///run/m.sock"])),
            "username": draw(st.none() | st.just("edge")),
            "password": draw(st.none() | SECRETS),
            "base_topic": draw(TOPICS),
            "discovery_prefix": draw(PREFIXES),
            "frames": draw(st.booleans()),
        },
        "destination": _dropbox(draw) if draw(st.booleans()) else folder,
        "web": {"public_url": draw(st.sampled_from([None, "https://garden.example.org", "http://localhost:8080"]))},
        "spool": {
            "keep_delivered": draw(st.sampled_from(["0s", "1d"])),
            "when_full": draw(st.sampled_from(["thin", "drop_oldest", "refuse"])),
        },
        "upload": {"hours": draw(st.sampled_from(["", "01:00-06:00"]))},
        "cameras": draw(st.dictionaries(IDS, _camera(), max_size=4)),
    }


TREES = trees()
