"""How a route says no: raised anywhere below a route, answered by the gate as Kit's `{"errors": […]}`."""


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the simulator
    """`nested`: the one place where Kit wraps each text in an array of its own (docs/facts/kit.md §1: sequences)."""

    def __init__(self, status: int, text: str, *, nested: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.errors: list[str | list[str]] = [[text]] if nested else [text]


def not_found() -> Refusal:
    return Refusal(404, "Not Found")
