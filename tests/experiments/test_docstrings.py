"""What is said of a field is what stands below it."""

from dataclasses import dataclass, field

import pytest

from experiments.docstrings import described, first_sentence, summary
from tinygpt.schema import Checked


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel(Checked):
    """A round
    thing."""

    spokes: int = 32
    """How many, an even
    number."""
    colour: str = "black"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cart(Checked):
    """It rolls."""

    wheel: Wheel = field(default_factory=Wheel)
    load: float
    """Kilograms."""

    def loaded(self) -> bool:
        """Not of a field."""
        return self.load > 0


@dataclass(frozen=True, kw_only=True)
class Wagon(Cart):
    """It is drawn."""

    horses: int = 2
    """One or two."""


def test_a_field_means_what_stands_below_it() -> None:
    assert described(Wheel)["spokes"] == "How many, an even number."


def test_a_field_without_a_text_means_what_its_class_or_else_its_owner_says() -> None:
    assert described(Wheel)["colour"] == "A round thing."
    assert described(Cart)["wheel"] == "A round thing."


def test_fields_of_a_base_class_keep_their_texts() -> None:
    assert described(Wagon) == {
        "wheel": "A round thing.",
        "load": "Kilograms.",
        "horses": "One or two.",
    }


def test_a_class_is_summed_up_in_one_line() -> None:
    assert summary(Wheel) == "A round thing."


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("As Su et al. 2021 say. More.", "As Su et al. 2021 say."),
        ("At 0.5 it stops. Else not.", "At 0.5 it stops."),
        ("Where? There.", "Where?"),
        ("no end", "no end"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_where_the_next_begins(text: str, first: str) -> None:
    assert first_sentence(text) == first
