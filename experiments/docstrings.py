"""What the docstrings of dataclasses say of their fields."""

import ast
import functools
import inspect
import itertools
import re
import textwrap

from tinygpt import schema


@functools.cache
def described(cls: type) -> dict[str, str]:
    """What each field of a dataclass means: the text below it, else what the dataclass in it says
    of itself, else what `cls` says of all its fields."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        texts |= _below_fields(base)
    return {
        name: texts.get(name) or summary(hint if schema.is_section(hint) else cls)
        for name, hint in schema.field_types(cls).items()
    }


def summary(cls: type) -> str:
    """The docstring of a class, in one line."""
    return _one_line(inspect.getdoc(cls) or "")


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence: a capital follows, which none does "et al."."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]


def _below_fields(cls: type) -> dict[str, str]:
    """The string that stands below each annotated name in the source of a class."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    texts = {}
    for field, text in itertools.pairwise(node.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                texts[name] = _one_line(words)
    return texts


def _one_line(text: str) -> str:
    return " ".join(text.split())
