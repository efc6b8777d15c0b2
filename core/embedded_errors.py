"""Why an embedded service is not there, in one line."""


class ServiceUnavailable(Exception):
    """PostgreSQL or Redis can neither be found nor started; the message says what to do."""
