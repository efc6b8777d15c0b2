"""Every fault on the wire of OpenAI, streamed and whole."""

import pytest

from llm.types import Call
from tests.llm_fault_checks import check_faults
from tests.llm_faults import OPENAI
from tests.llm_support import MARKS

pytestmark = MARKS


@pytest.mark.parametrize("part", OPENAI)
async def test_faults_are_told_recorded_and_billed(call: Call, part: str) -> None:
    await check_faults(OPENAI[part], call, kind="openai")
