"""How deeply JSON is nested: bytes in, a verdict out, before any parser recurses into them.

Called by streams/edge/envelope.py for every signed body. All of it runs in C: a loop over characters in Python would
cost more than the rest of the edge.
"""

DEPTH_MAX = 64
"""docs/interfaces.md §4. Stripe's own events stay below ten; a parser's recursion would stop at about a thousand."""

_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_deeper_than(body: bytes, depth: int = DEPTH_MAX) -> bool:
    """Exact for every valid JSON document, where the outermost object is depth 1; never raises for any other bytes."""
    # Most events have so few brackets that they cannot be that deep, whatever stands in strings.
    if body.count(b"{") + body.count(b"[") <= depth:
        return False
    brackets = _without_strings(body).translate(_BRACES_AS_BRACKETS, _ALL_BUT_BRACKETS)
    # Each pass takes the innermost pairs away, so what outlives `depth` passes is nested deeper (or is no JSON,
    # where a pass may find nothing to take: that is left to the parser).
    for _ in range(depth):
        shallower = brackets.replace(b"[]", b"")
        if len(shallower) == len(brackets):
            return False
        brackets = shallower
    return bool(brackets)


def _without_strings(body: bytes) -> bytes:
    """Escaped backslashes go first, then escaped quotes; every quote left then begins or ends a string."""
    return b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
