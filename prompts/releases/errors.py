"""Why a label stays where it is."""

from core.errors import AppError


class MoveRefused(AppError):
    """The label cannot be moved as asked."""

    code = "label_move_refused"
    http_status = 409


class LabelUnchanged(MoveRefused):
    """The label points at this version already."""

    code = "label_unchanged"


class SecondPersonNeeded(MoveRefused):
    """One person alone may not make this move."""

    code = "second_person_needed"


class PassedTestsNeeded(MoveRefused):
    """The version has not passed the tests that the label's rule asks for."""

    code = "passed_tests_needed"
