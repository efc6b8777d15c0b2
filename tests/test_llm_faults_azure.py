"""Every fault on the wire of Azure, streamed and whole."""

import pytest

from llm.types import Call
from tests.llm_fault_checks import check_faults
from tests.llm_faults import AZURE
from tests.llm_support import MARKS

pytestmark = MARKS


@pytest.mark.parametrize("part", AZURE)
async def test_faults_are_told_recorded_and_billed(call: Call, part: str) -> None:
    await check_faults(AZURE[part], call, kind="azure")
