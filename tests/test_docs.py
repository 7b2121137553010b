"""What the documents say is what the code does: tables, examples, links and anchors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_service import reasons, replies
from edge_service.__main__ import COMMANDS
from edge_service.adapters.config_files import read_config
from edge_service.commands import CAMERA_KEYS, CAMERA_VERBS, NODE_KEYS, NODE_VERBS
from edge_service.conditions import CAMERA_SENTENCES, LINK_PROBLEMS, SENTENCES
from edge_service.fates import Fate
from edge_service.redaction import full_config
from edge_service.reports import CAMERA_EVENTS, NODE_EVENTS
from edge_service.setting_faults import value_at
from edge_service.setting_keys import Key, all_keys
from edge_service.topics import Topics
from tests.settings_kit import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in {"build", "dist"} for part in path.relative_to(ROOT).parts)
)
Row = list[str]


def section(text: str, title: str) -> str:
    """From one heading to the next of its rank."""
    found = re.search(rf"^(#+) {re.escape(title)}$(.*?)(?=^\1 |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(2)


def tables(text: str) -> list[list[Row]]:
    """Each table's rows, without head and rule."""
    found = []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append(rows[2:])
    return found


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def leaves(key: Key, path: str = "") -> set[str]:
    if key.kind == "map" and key.each and path == "cameras":
        return leaves(key.each, f"{path}.<id>")
    if key.kind == "list" and key.each and key.each.kind == "model":
        return {path} | leaves(key.each, f"{path}[]")
    if not key.children:
        return {path}
    return {leaf for name, child in key.children.items() for leaf in leaves(child, f"{path}.{name}" if path else name)}


SETTINGS = tables(section(README, "Settings"))[0]


def test_every_setting_has_its_row() -> None:
    rows = [key for row in SETTINGS for key in words(row[0])]
    assert sorted(rows) == sorted(leaves(all_keys()))


def test_each_default_in_the_table_is_the_default(tmp_path: Path) -> None:
    """Written into a file where it says default, it changes nothing."""
    bare = "node: garden\ndestination: {type: dropbox}\ncameras:\n  a: {source: 'http://h/', name: a%s}\n%s"
    told = 0
    for keys, defaults, _ in SETTINGS:
        for key, default in zip(words(keys), words(defaults), strict=False):
            if "<" in default or key in {"timezone", "cameras.<id>.windows[].days"}:
                continue
            path = key.split(".")
            camera = f", {path[-1]}: {default}" if path[0] == "cameras" else ""
            nested = "" if camera else "".join(f"{'  ' * i}{part}:\n" for i, part in enumerate(path))[:-1]
            line = f"{nested} {default}\n" if nested else ""
            text = bare % (camera, line)
            if path[0] == "destination":
                text = text.replace("destination: {type: dropbox}\n", "")
            file = tmp_path / "config.yaml"
            file.write_text(text)
            shown = full_config(read_config(str(file), {}, "pi").load().settings)
            base = full_config(load({"node": "garden", "cameras": {"a": {"source": "http://h/"}}}).settings)
            where = tuple("a" if part == "<id>" else part for part in path)
            assert value_at(shown, where) == value_at(base, where), key
            told += 1
    assert told > 25


def test_every_command_has_its_row() -> None:
    assert [words(row[0])[0] for row in tables(section(README, "Commands"))[0]] == list(COMMANDS)


def test_the_table_of_topics_is_the_tree_of_topics() -> None:
    rows = {topic: row for row in tables(section(README, "Topics"))[0] for topic in words(row[0])}
    topics = Topics("edge_service", "n")

    def full(topic: str) -> str:
        return topic.replace("C/", "B/cam/c/").replace("B/", "edge_service/n/")

    retained = {full(topic) for topic, row in rows.items() if row[1] == "out, retained"}
    assert retained == {*topics.retained(), *topics.retained("c")}
    out = {full(topic) for topic, row in rows.items() if row[1] == "out"}
    assert out == {topics.health, topics.event(), topics.event("c"), topics.response("<verb>")}
    listed = {topic: re.findall(r"\w+", row[2]) for topic, row in rows.items() if row[1] == "in"}
    assert listed == {
        "B/cmd/<verb>": list(NODE_VERBS),
        "B/set/<key>": list(NODE_KEYS),
        "C/cmd/<verb>": list(CAMERA_VERBS),
        "C/set/<key>": list(CAMERA_KEYS),
    }


def test_all_events_are_told() -> None:
    of_node, of_camera = section(README, "Topics").partition("Events, each")[2].split("of a camera")
    assert words(of_node)[3:] == list(NODE_EVENTS)
    assert words(of_camera.partition(".")[0]) == list(CAMERA_EVENTS)


def test_every_problem_reason_and_code_has_its_row() -> None:
    problems, why, codes = tables(section(README, "When things go wrong"))
    listed = [words(row[0])[0] for row in problems if re.fullmatch(r"`[a-z_]+`", row[0])]
    assert sorted(listed) == sorted([*SENTENCES, *CAMERA_SENTENCES])
    assert [word for row in why for word in words(row[0])] == [
        *(reason for reason in reasons.REASONS if reason not in AFTER_HTTP),
        "http_NNN",
        *AFTER_HTTP,
    ]
    assert sorted(word for row in codes for word in words(row[0])) == sorted(replies.CODES)
    assert all(len(row) == 3 and all(row) for row in (*problems, *why))


AFTER_HTTP = list(reasons.REASONS)[list(reasons.REASONS).index("auth") + 1 :]


def test_the_glossary_knows_all_fates_and_states_of_the_link() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    assert {row[0] for row in tables(text)[0]} >= {fate.value for fate in Fate}
    for state in {*LINK_PROBLEMS, "linked", "not_needed"}:
        assert state in text


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    broken = []
    for target in targets:
        if re.match(r"(https?|mailto):", target):
            continue
        file, _, anchor = target.partition("#")
        aim = (page.parent / file).resolve() if file else page
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_scripts_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?:(?<![\w/])|(?<=\./))(?:scripts|tests|deploy|docs|edge_service|examples)/[\w./-]*\w", text)
    )
    missing = {name for name in named if not (ROOT / name).exists()}
    # topics begin like our package
    assert not {name for name in missing if not re.match(r"edge_service/(<|\+|\w+$|garden|demo|node)", name)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_benches_and_soaks_that_are_named_exist(page: Path) -> None:
    for kind, name in re.findall(r"scripts/(bench|soak) ([a-z_]+)", page.read_text(encoding="utf-8")):
        plural = "benches" if kind == "bench" else "soaks"
        assert name in {"all", "compare"} or (ROOT / "scripts" / plural / f"{name}.py").exists(), f"{kind} {name}"


def check(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_service", "check"],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_a_good_file(tmp_path: Path, example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(text)
    secrets = dict.fromkeys(re.findall(r"!secret (\w+)", text), "x")
    secrets |= dict(re.findall(r"^#\s+(\w+): (http\S+)$", text, re.MULTILINE))
    (tmp_path / "secrets.yaml").write_text("".join(f"{name}: {value}\n" for name, value in secrets.items()) or "{}\n")
    (tmp_path / "secrets.yaml").chmod(0o600)
    code, said = check(tmp_path)
    assert (code, said.count("\n")) == (0, 1), said
    assert f"({example.name})" in (ROOT / "examples/README.md").read_text(encoding="utf-8")


def test_the_file_of_the_five_minutes_is_good(tmp_path: Path) -> None:
    block, secrets = re.findall(r"^```yaml\n(.*?)^```", section(README, "Five minutes"), re.MULTILINE | re.DOTALL)
    (tmp_path / "secrets.yaml").write_text(secrets)
    (tmp_path / "secrets.yaml").chmod(0o600)
    (tmp_path / "config.yaml").write_text(block)
    assert check(tmp_path) == (0, "config.yaml: good: node garden, 1 camera, destination dropbox\n")
    (tmp_path / "config.yaml").write_text(block.replace("source", "sauce"))
    assert check(tmp_path)[0] == 2


def test_the_house_names_only_rooms_that_there_are() -> None:
    house = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "edge_service").rglob("*.py")}
    rooms |= {path.name for path in (ROOT / "edge_service").rglob("*") if path.is_dir()}
    [table] = tables(section(house, "Rooms"))
    named = {
        word.removesuffix("/").removesuffix(".py").rpartition("/")[2] for row in table for word in words(" ".join(row))
    }
    assert named - {"*"} <= rooms


def test_the_house_names_every_thread() -> None:
    """Names of threads stand in the code as ``name="..."`` or as the first word of ``start_loop`` and ``Crew``."""
    house = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [table] = tables(section(house, "Threads"))
    told = {row[0].removesuffix("-N").removesuffix("-NAME") for row in table} - {"main"}
    found: set[str] = set()
    for path in (ROOT / "edge_service").rglob("*.py"):
        if path.stem in {"demo", "embedded_broker", "test_pattern", "link"}:
            continue
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'(?:Thread\(.*name=f?|start_loop\(|Crew\()"([a-z]+)', text):
            found.add(name)
    assert found == told
