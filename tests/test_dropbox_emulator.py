"""The emulator answers the real SDK as Dropbox does: users, files, write modes, paths, listing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import emulator_kit
from tests.dropbox_emulator import App, DropboxEmulator
from tests.dropbox_emulator.content import BLOCK, content_hash
from tests.emulator_kit import refused, sdk, sdk_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dropbox import Dropbox

dropbox_emulator = emulator_kit.dropbox_emulator


@pytest.fixture
def client(dropbox_emulator: DropboxEmulator) -> Iterator[Dropbox]:
    with sdk_client(dropbox_emulator) as made:
        yield made


def raw(emulator: DropboxEmulator, route: str, **given: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.grant().access_token}"} | given.pop("headers", {})
    return requests.post(
        f"{emulator.url}/2/{route}", headers=headers, verify=str(emulator.ca_file), timeout=10, **given
    )


def test_an_upload_answers_what_was_stored(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    moment = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    made = client.files_upload(b"picture", "/Cam/a.jpg", client_modified=moment, mute=True)
    stored = dropbox_emulator.files()["/Cam/a.jpg"]
    assert (made.path_display, made.path_lower, made.size) == ("/Cam/a.jpg", "/cam/a.jpg", 7)
    assert made.content_hash == stored.content_hash == content_hash(b"picture")
    assert (made.rev, stored.client_modified, stored.content) == (stored.rev, moment, b"picture")


def test_the_hash_is_the_sdks_own_over_block_borders() -> None:
    data = bytes(BLOCK + 5)
    assert content_hash(data) == sdk().content_hash.content_hash(data)
    assert content_hash(b"").startswith("e3b0c442")


def test_the_same_content_again_writes_nothing_whatever_the_case_of_the_path(
    dropbox_emulator: DropboxEmulator, client: Dropbox
) -> None:
    first = client.files_upload(b"x", "/Cam/a.jpg")
    again = client.files_upload(b"x", "/CAM/A.JPG", client_modified=datetime(2020, 1, 1, tzinfo=UTC))
    assert (again.rev, again.path_display, again.client_modified) == (first.rev, "/Cam/a.jpg", first.client_modified)
    assert dropbox_emulator.files()["/Cam/a.jpg"].writes == 1


def test_write_modes_treat_other_content_each_in_its_way(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    write = sdk().files.WriteMode
    first = client.files_upload(b"one", "/a.jpg")
    assert refused(client.files_upload, b"two", "/a.jpg").get_path().reason.get_conflict().is_file()
    assert client.files_upload(b"two", "/a.jpg", autorename=True).name == "a (1).jpg"
    assert client.files_upload(b"two", "/a.jpg", autorename=True).name == "a (1).jpg"
    assert client.files_upload(b"two", "/a.jpg", autorename=True, strict_conflict=True).name == "a (2).jpg"
    assert refused(client.files_upload, b"one", "/a.jpg", strict_conflict=True).get_path().reason.is_conflict()
    assert client.files_upload(b"three", "/a.jpg", mode=write.overwrite).rev != first.rev
    assert refused(client.files_upload, b"four", "/a.jpg", mode=write.update(first.rev)).get_path().reason.is_conflict()
    newest = client.files_get_metadata("/a.jpg").rev
    assert client.files_upload(b"four", "/a.jpg", mode=write.update(newest)).id == first.id
    assert {path: file.content for path, file in dropbox_emulator.files().items()} == {
        "/a.jpg": b"four",
        "/a (1).jpg": b"two",
        "/a (2).jpg": b"two",
    }


def test_folders_and_files_get_in_each_others_way(client: Dropbox) -> None:
    client.files_create_folder_v2("/cam")
    client.files_upload(b"x", "/file")
    assert refused(client.files_upload, b"x", "/Cam").get_path().reason.get_conflict().is_folder()
    assert refused(client.files_upload, b"x", "/file/y.jpg").get_path().reason.get_conflict().is_file_ancestor()
    assert refused(client.files_create_folder_v2, "/CAM").get_path().get_conflict().is_folder()


@pytest.mark.parametrize("path", ["/a/", "/a//b", "/./a", "/../a", "/a\\b", "/a\x07", "/a ", f"/{'x' * 256}", "/"])
def test_malformed_paths_are_refused(client: Dropbox, path: str) -> None:
    assert refused(client.files_upload, b"x", path).get_path().reason.is_malformed_path()


@pytest.mark.parametrize("path", ["/thumbs.db", "/Desktop.ini", "/a/.DS_Store"])
def test_disallowed_names_are_refused(client: Dropbox, path: str) -> None:
    assert refused(client.files_upload, b"x", path).get_path().reason.is_disallowed_name()


def test_a_path_that_breaks_the_pattern_is_a_400_in_text(dropbox_emulator: DropboxEmulator) -> None:
    answer = raw(
        dropbox_emulator,
        "files/upload",
        data=b"x",
        headers={"Dropbox-API-Arg": '{"path": "a.jpg"}', "Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 400
    assert "did not match pattern" in answer.text
    assert raw(dropbox_emulator, "files/list_folder", json={"path": "/"}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "argument", "said"),
    [
        ("image/jpeg", '{"path": "/a"}', "Content-Type"),
        ("application/octet-stream", '{"path": "/é"}', "could not decode input as JSON"),
        ("application/octet-stream", '{"path": ', "could not decode input as JSON"),
        ("application/octet-stream", "{}", "missing required field 'path'"),
        ("application/octet-stream", '{"path": "/a", "client_modified": "2026-11-23T14:05:00.5Z"}', "does not match"),
    ],
)
def test_requests_in_the_wrong_form_are_refused(
    dropbox_emulator: DropboxEmulator, kind: str, argument: str, said: str
) -> None:
    headers = {"Dropbox-API-Arg": argument.encode(), "Content-Type": kind}
    answer = raw(dropbox_emulator, "files/upload", data=b"x", headers=headers)
    assert (answer.status_code, said in answer.text) == (400, True), answer.text
    assert answer.headers["X-Dropbox-Request-Id"]
    assert not dropbox_emulator.files()


def test_a_path_beyond_ascii_comes_through_the_header(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"x", "/Gärten/日没.jpg")
    assert client.files_get_metadata("/gärten/日没.JPG").path_display == "/Gärten/日没.jpg"
    assert list(dropbox_emulator.files()) == ["/Gärten/日没.jpg"]


def test_a_wrong_content_hash_stores_nothing(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    assert refused(client.files_upload, b"x", "/a", content_hash="0" * 64).is_content_hash_mismatch()
    assert not dropbox_emulator.files()


def test_a_payload_above_the_limit_is_refused(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.payload_limit = 1000
    assert refused(client.files_upload, bytes(1001), "/a").is_payload_too_large()
    assert refused(client.files_upload, bytes(50_000), "/a").is_payload_too_large()
    assert client.files_upload(bytes(1000), "/a").size == 1000


def test_metadata_is_found_by_path_and_id_and_not_for_what_is_not_there(client: Dropbox) -> None:
    made = client.files_upload(b"x", "/cam/a.jpg")
    assert client.files_get_metadata(made.id).path_display == "/cam/a.jpg"
    assert client.files_get_metadata("/Cam").name == "cam"
    assert refused(client.files_get_metadata, "/cam/b.jpg").get_path().is_not_found()
    client.files_delete_v2("/cam/a.jpg")
    assert isinstance(client.files_get_metadata("/cam/a.jpg", include_deleted=True), sdk().files.DeletedMetadata)
    assert refused(client.files_get_metadata, made.id).get_path().is_not_found()


def test_a_listing_comes_in_pages_and_then_tells_changes(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    for number in range(5):
        client.files_upload(b"x", f"/cam/{number}.jpg")
    client.files_upload(b"x", "/other/o.jpg")
    dropbox_emulator.behaviour.list_page = 2
    page = client.files_list_folder("/cam")
    names = [entry.name for entry in page.entries]
    while page.has_more:
        page = client.files_list_folder_continue(page.cursor)
        names += [entry.name for entry in page.entries]
    assert names == [f"{number}.jpg" for number in range(5)]
    client.files_delete_v2("/cam/3.jpg")
    client.files_upload(b"y", "/other/p.jpg")
    news = client.files_list_folder_continue(page.cursor)
    assert [(type(entry).__name__, entry.name) for entry in news.entries] == [("DeletedMetadata", "3.jpg")]
    assert len(client.files_list_folder("", recursive=True, limit=100).entries) == 8
    assert refused(client.files_list_folder, "/cam/0.jpg").get_path().is_not_folder()


def test_moves_and_deletes_take_whole_folders(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    for name in ("a", "b/c", "b/d"):
        client.files_upload(b"xx", f"/Cam/{name}.jpg")
    rev = client.files_get_metadata("/Cam/b/c.jpg").rev
    client.files_move_v2("/cam", "/Moved")
    assert sorted(dropbox_emulator.files()) == ["/Moved/a.jpg", "/Moved/b/c.jpg", "/Moved/b/d.jpg"]
    assert dropbox_emulator.files()["/Moved/b/c.jpg"].rev == rev
    assert client.users_get_space_usage().used == 6
    assert refused(client.files_move_v2, "/Moved", "/Moved/in").is_cant_move_folder_into_itself()
    client.files_delete_v2("/moved/B")
    assert list(dropbox_emulator.files()) == ["/Moved/a.jpg"]
    assert client.users_get_space_usage().used == 2
    assert refused(client.files_delete_v2, "/nowhere").get_path_lookup().is_not_found()


def test_a_download_gives_the_bytes_back(client: Dropbox) -> None:
    client.files_upload(b"picture", "/ä.jpg")
    metadata, answer = client.files_download("/ä.jpg")
    assert (metadata.name, answer.content) == ("ä.jpg", b"picture")
    assert refused(client.files_download, "/b.jpg").get_path().is_not_found()


def test_accounts_space_and_echo(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    bob = dropbox_emulator.accounts["bob"]
    account = client.users_get_current_account()
    assert (account.email, account.account_id) == ("ada@example.com", dropbox_emulator.accounts["ada"].account_id)
    with sdk_client(dropbox_emulator, dropbox_emulator.grant("bob")) as other:
        assert other.users_get_current_account().account_id == bob.account_id
        other.files_upload(b"x", "/a")
    assert client.check_user("hello").result == "hello"
    assert not dropbox_emulator.files("ada")
    assert list(dropbox_emulator.files("bob")) == ["/a"]


def test_a_full_account_refuses_until_there_is_room(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.accounts["ada"].quota = 10
    client.files_upload(bytes(8), "/a")
    assert refused(client.files_upload, bytes(3), "/b").get_path().reason.is_insufficient_space()
    assert client.users_get_space_usage().allocation.get_individual().allocated == 10
    client.files_delete_v2("/a")
    client.files_upload(bytes(3), "/b")


def test_an_app_folder_hides_its_own_path(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.app.folder = "/Apps/garden"
    assert client.files_list_folder("").entries == []
    assert client.files_upload(b"x", "/Cam/a.jpg").path_display == "/Cam/a.jpg"
    assert list(dropbox_emulator.files()) == ["/Apps/garden/Cam/a.jpg"]
    assert [entry.path_display for entry in client.files_list_folder("", recursive=True).entries] == [
        "/Cam",
        "/Cam/a.jpg",
    ]
    assert client.files_get_metadata("/cam/a.jpg").path_lower == "/cam/a.jpg"


def test_members_that_the_sdk_does_not_know_are_no_trouble(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    dropbox_emulator.behaviour.unknown_tags = True
    assert client.files_upload(b"x", "/a").name == "a"


def test_a_reset_leaves_nothing_behind(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"x", "/a")
    dropbox_emulator.reset()
    assert not dropbox_emulator.files()
    assert not dropbox_emulator.requests
    with pytest.raises(sdk().exceptions.AuthError):
        client.files_upload(b"x", "/a")


def test_two_emulators_know_only_their_own(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"x", "/a")
    with DropboxEmulator(apps=(App(key="other"),)) as other:
        assert other.host != dropbox_emulator.host
        assert not other.files()
        assert other.environment()["DROPBOX_WEB_HOST"] == other.host


def test_every_request_is_on_the_record(dropbox_emulator: DropboxEmulator, client: Dropbox) -> None:
    client.files_upload(b"abc", "/a")
    refused(client.files_get_metadata, "/b")
    upload, look = dropbox_emulator.requests
    assert (upload.route, upload.status, upload.paths, upload.bytes_in) == ("files/upload", 200, ("/a",), 3)
    assert (look.route, look.status, look.error, look.paths) == ("files/get_metadata", 409, "path", ("/b",))
    assert upload.started <= upload.ended <= look.started
    assert upload.account == dropbox_emulator.accounts["ada"].account_id
