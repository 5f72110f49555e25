"""What may go wrong with a command or with the link."""


class LinkError(Exception):
    """gannet has refused a command, or the link (401): ``code`` is one of docs/http-api.md, or ``http_`` and a proxy's status."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class LinkLost(Exception):
    """The reply to a command will not come. ``maybe_done``: it was written, so perhaps it was done. It is never sent again."""

    def __init__(self, message, maybe_done):
        super().__init__(message)
        self.maybe_done = maybe_done


class LinkBusy(Exception):
    """As many commands wait as may: await ``drain()``."""
