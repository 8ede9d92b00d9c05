"""Placeholders in tags and field values (docs/interfaces.md §6): which there are, and how a template is filled.

The core fills the templates of rules with what it knows of the customer; checks.py refuses unknown names.
"""

import re
from collections.abc import Iterator, Mapping

PLACEHOLDERS = (
    "offer.name",
    "product.name",
    "product.metadata.KEY",
    "price.nickname",
    "quantity",
    "amount",
    "currency",
    "period_end",
    "customer.id",
    "customer.name",
    "invoice.url",
    "portal.url",
    "delivery.url",
    "delivery.code",
)
REPORT_PLACEHOLDERS = ("account.name", "month")
"""Those of `[report] subject`."""

METADATA = "product.metadata."
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fill(template: str, values: Mapping[str, str | None]) -> str | None:
    """The template with every `{name}` replaced by `values[name]`; names of metadata in full (`product.metadata.k`).

    None when one of them is unknown or empty: a tag with an empty placeholder is not given.
    """
    if "{" not in template:
        return template
    if any(not values.get(name) for name in names_in(template)):
        return None
    return _PLACEHOLDER.sub(lambda match: values[match[1]] or "", template)


def names_in(template: str) -> Iterator[str]:
    for match in _PLACEHOLDER.finditer(template):
        yield match[1]


def has_stray_brace(template: str) -> bool:
    """A brace that belongs to no placeholder: a forgotten one would end up in Kit."""
    rest = _PLACEHOLDER.sub("", template)
    return "{" in rest or "}" in rest


def is_known(name: str) -> bool:
    if name.startswith(METADATA):
        return len(name) > len(METADATA)
    return name in PLACEHOLDERS
