"""Placeholders in tags and fields."""

import pytest

from processors.catalogue.placeholders import PLACEHOLDERS, fill, has_stray_brace, is_known, names_in


def test_a_template_is_filled():
    values = {"offer.name": "Pro", "quantity": "3", "customer.name": None}
    assert fill("{offer.name}: {quantity} seats", values) == "Pro: 3 seats"


def test_a_text_without_placeholders_stays_as_it_is():
    assert fill("customer", {}) == "customer"


@pytest.mark.parametrize("values", [{}, {"offer.name": None}, {"offer.name": ""}])
def test_one_empty_placeholder_empties_the_whole(values: dict[str, str | None]):
    assert fill("plan {offer.name}", values) is None
    assert fill("{quantity} of {offer.name}", {"quantity": "3", **values}) is None


def test_what_is_filled_in_is_not_filled_again():
    assert fill("{customer.name}", {"customer.name": "{offer.name}", "offer.name": "Pro"}) == "{offer.name}"


def test_metadata_is_known_by_its_own_key():
    assert fill("{product.metadata.level}", {"product.metadata.level": "gold"}) == "gold"
    assert is_known("product.metadata.level")
    assert not is_known("product.metadata.")
    assert not is_known("offer.names")


def test_every_placeholder_of_the_interface_is_known():
    assert all(is_known(name) for name in PLACEHOLDERS)
    assert len(PLACEHOLDERS) == 14


@pytest.mark.parametrize(("template", "stray"), [("{a} b", False), ("{a", True), ("a}", True), ("{{a}}", True)])
def test_a_brace_without_its_other_half_is_seen(template: str, stray: bool):
    assert has_stray_brace(template) is stray


def test_names_come_in_their_order():
    assert list(names_in("{b} {a} {b}")) == ["b", "a", "b"]
