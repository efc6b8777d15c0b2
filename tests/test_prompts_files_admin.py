"""Staff take prompts out as files, and bring files in after a look at what would happen."""

import io
import re
import zipfile
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from core.errors import InvalidRequest
from prompts import services
from prompts.files import archives
from prompts.files.archives import pack, unpack
from prompts.files.exporting import export_folder
from prompts.models import Prompt, PromptVersion
from tests.prompt_files_support import make, said

pytestmark = pytest.mark.django_db

FILES = reverse("admin:prompts_prompt_files")
IMPORT = reverse("admin:prompts_prompt_import")
EXPORT = reverse("admin:prompts_prompt_export")
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@pytest.fixture
def acme(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def prompt(acme: Organization) -> Prompt:
    return make(acme, "greeting", said("One.\nTwo."), production=1)


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


def upload(client: Client, organization: Organization, content: bytes, **how: str) -> Any:
    form = {"organization": organization.pk, "labels": "files", "label": "", **how}
    return client.post(FILES, {**form, "file": SimpleUploadedFile("files.zip", content)})


def agree(client: Client, plan: Any) -> Any:
    return client.post(IMPORT, dict(HIDDEN.findall(plan.content.decode())), follow=True)


def edited(organization: Organization) -> bytes:
    files = export_folder(organization)
    path = "greeting/versions/production.yaml"
    return pack({**files, path: files[path].replace("Two", "Three <b>")})


def test_an_archive_goes_out_and_comes_back(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    out = client.get(f"{EXPORT}?organization={acme.pk}&versions=labelled")
    plan = upload(client, acme, out.content)

    with zipfile.ZipFile(io.BytesIO(out.content)) as archive:
        assert "greeting/versions/production.yaml" in archive.namelist()
    assert "Nothing changes: all of it is there already." in plan.content.decode()


def test_what_is_shown_is_what_is_imported(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    plan = upload(client, acme, edited(acme))
    before = PromptVersion.objects.count()

    done = agree(client, plan)

    shown = plan.content.decode()
    assert (before, PromptVersion.objects.count()) == (1, 2)
    assert "“production” moves from version 1 to version 2" in shown
    assert "Three &lt;b&gt;" in re.sub(r"</?(ins|del|span)[^>]*>|\[(added|removed): |\]", "", shown)
    assert "somebody has edited it since" in shown
    assert "Imported. 1 new version, 1 label moved." in done.content.decode()
    assert prompt.labels.get().version.number == 2
    assert LogEntry.objects.filter(change_message="Imported version 2.", user=boss).exists()


def test_what_has_changed_meanwhile_is_shown_again(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    plan = upload(client, acme, edited(acme))
    services.add_version(prompt=prompt, content=said("Meanwhile"))

    again = agree(client, plan)

    assert "Something has changed meanwhile" in again.content.decode()
    assert PromptVersion.objects.count() == 2
    assert "Imported" in agree(client, again).content.decode()


def test_one_label_alone_is_moved(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    unnamed = upload(client, acme, edited(acme), labels="one", label="")
    plan = upload(client, acme, edited(acme), labels="one", label="staging")

    agree(client, plan)

    assert "Name a label" in unnamed.content.decode()
    labels = dict(prompt.labels.values_list("name", "version__number"))
    assert labels == {"production": 1, "staging": 2}


def test_what_is_wrong_is_told_by_file_and_line(
    client: Client, boss: User, acme: Organization
) -> None:
    text = "messages:\n- role: user\n  template: '{{ x }}'\n"

    page = upload(client, acme, pack({"a/versions/b.yaml": text})).content.decode()

    assert "a/versions/b.yaml:3 (messages[0].template)" in page
    assert "the variable “x” is not declared." in page
    assert not Prompt.objects.exists()


def test_a_file_that_is_no_longer_kept_is_asked_for_again(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    plan = upload(client, acme, edited(acme))
    other = Client()
    other.force_login(User.objects.create_superuser("other"))

    anothers = agree(other, plan)

    assert "upload it again" in anothers.content.decode()
    assert "Upload the file again" in client.post(IMPORT, {}).content.decode()
    assert PromptVersion.objects.count() == 1


def test_one_prompt_and_selected_ones_are_exported(
    client: Client, boss: User, acme: Organization, prompt: Prompt
) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    foreign = make(other, "foreign", said("A"), production=1)
    changelist = reverse("admin:prompts_prompt_changelist")

    def selected(*prompts: Prompt) -> Any:
        chosen = {"action": "export_selected", "_selected_action": [one.pk for one in prompts]}
        return client.post(changelist, chosen, follow=True)

    one = client.get(reverse("admin:prompts_prompt_export_one", args=[prompt.pk]))

    assert b"name: greeting" in one.content
    assert set(unpack("x", selected(prompt).content)) == set(export_folder(acme))
    assert "Select prompts of one organization" in selected(prompt, foreign).content.decode()
    assert "Export and import" in client.get(changelist).content.decode()


@pytest.mark.parametrize(
    ("rights", "statuses"),
    [
        ([], (403, 403, 403, 403)),
        (["view_promptversion", "view_prompt"], (200, 200, 403, 403)),
        (["add_prompt", "add_promptversion"], (200, 403, 200, 200)),
        (["add_prompt", "view_promptversion"], (200, 200, 403, 403)),
    ],
)
def test_who_may_do_what(
    client: Client,
    acme: Organization,
    prompt: Prompt,
    rights: list[str],
    statuses: tuple[int, ...],
) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    found = (
        client.get(FILES).status_code,
        client.get(f"{EXPORT}?organization={acme.pk}&versions=all").status_code,
        upload(client, acme, edited(acme)).status_code,
        client.post(IMPORT, {}).status_code,
    )

    assert found == statuses
    assert PromptVersion.objects.count() == 1


def test_labels_are_moved_only_by_those_who_may(
    client: Client, acme: Organization, prompt: Prompt
) -> None:
    user = User.objects.create(username="writer", is_staff=True)
    rights = ["add_prompt", "add_promptversion", "view_prompt"]
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    refused = upload(client, acme, edited(acme))
    agree(client, upload(client, acme, edited(acme), labels="none"))

    assert "You may not move labels" in refused.content.decode()
    assert (PromptVersion.objects.count(), prompt.labels.get().version.number) == (2, 1)


@pytest.mark.parametrize("name", ["../out.yaml", "/etc/out.yaml", "a\\..\\..\\b.yaml", "C:b.yaml"])
def test_an_archive_does_not_lead_out_of_itself(name: str) -> None:
    with pytest.raises(InvalidRequest, match="leads out"):
        unpack("x.zip", pack({name: "a: 1\n"}))


def test_an_archive_that_is_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL", 100_000)
    monkeypatch.setattr(archives, "MAX_FILES", 3)

    with pytest.raises(InvalidRequest, match="too large"):
        unpack("x.zip", pack({"a.yaml": "0" * 99_000, "b.yaml": "0" * 2_000}))
    with pytest.raises(InvalidRequest, match="more than 3 files"):
        unpack("x.zip", pack(dict.fromkeys("abcd", "")))


def test_a_broken_archive_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="broken"):
        unpack("x.zip", pack({"a.yaml": "a: 1\n" * 100})[:60])
