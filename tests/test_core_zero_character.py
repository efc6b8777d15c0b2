"""A zero character in an address or a form is a mistake of whoever sent it."""

import pytest
from django.test import Client

from accounts.models import User


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/admin/billing/budget/?period=%00", "/admin/prompts/labelmove/?label=%00"]
)
def test_a_zero_character_is_answered_with_400(path: str) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))

    answer = client.get(path)

    assert answer.status_code == 400
    assert "cannot be read" in answer.content.decode()


@pytest.mark.django_db
def test_a_number_without_end_names_no_prompt() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))

    answer = client.get("/admin/prompts/experiment/add/", {"prompt": "9" * 5000})

    assert answer.status_code == 200
