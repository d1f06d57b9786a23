"""The table of a dataclass's keys: defaults, ranges, meanings and an example of each."""

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from experiments.docstrings import described, first_sentence, summary
from tinygpt import schema, wording
from tinygpt.schema import Range

HEAD = "| key | default | values | meaning | example |\n|---|---|---|---|---|\n"
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
REQUIRED = "required"
ANY_KEY = "KEY"
"""Stands for what a user names, in keys such as `space.KEY.low`."""
DEFAULTS = {"name": "the file's", "run.seed": "`seed`"}
"""Defaults that are no constants."""
EXAMPLES = {
    "name": "small",
    "trials": "16",
    "constraints": '["params_millions <= 1.0"]',
    "enqueue": "[{train.learning_rate: 1e-3}]",
    "devices": "[0, 0, 1]",
    "worker_timeout": "10m",
    "max_disk": "2GB",
    "budget.time": "2h",
    "budget.tokens": "1e9",
    "budget.flops": "1e15",
    "budget.per_trial.tokens": "5e6",
    "budget.per_trial.flops": "1e13",
    "run.data.corpus": "tiny_shakespeare",
    "run.data.sha256": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    "run.train.warmup_iters": "20",
    "run.checkpoint.interval": "50",
    "run.sample.prompt": '"ROMEO:"',
    "run.sample.top_k": "20",
    "space.KEY.type: float": "{type: float, low: 1e-4, high: 1e-2, log: true}",
    "space.KEY.type: int": "{type: int, low: 1, high: 8}",
    "space.KEY.type: categorical": "{type: categorical, choices: [32, 64, 96]}",
    "space.KEY.type: expr": '{expr: "model.d_model // 4"}',
    "space.KEY.low": "1",
    "space.KEY.high": "8",
    "space.KEY.hard_low": "1",
    "space.KEY.hard_high": "64",
    "space.KEY.choices": "[32, 64, 96]",
    "space.KEY.expr": '"model.d_model // 4"',
    "space.KEY.when": "{train.optimizer: muon}",
    "sampler.search_space": "{train.learning_rate: [1e-3, 3e-3]}",
    "sampler.multivariate": "true",
    "sampler.group": "true",
    "sampler.popsize": "8",
    "sampler.x0": "{train.learning_rate: 1e-3}",
    "sampler.sigma0": "0.25",
    "sampler.mutation_prob": "0.1",
    "sampler.crossover": "sbx",
    "pruner.n_warmup_steps": "100",
    "pruner.percentile": "25.0",
    "pruner.min_resource": "100",
    "pruner.max_resource": "1200",
    "pruner.upper": "4.0",
    "pruner.wrapped_pruner": "{type: median}",
    "pruner.patience": "3",
    "pruner.min_delta": "0.01",
    "pruner.exempt": "0.1",
    "pruner.min_iters": "100",
    "pruner.cohort": "9",
    "wandb.entity": "my-team",
    "wandb.finish_timeout": "10m",
}
"""Values for keys whose type and default suggest none."""


@dataclass(frozen=True)
class Row:
    """One key; `kind` is the `type` of the mapping it stands in, where there are several."""

    key: str
    default: str
    values: str
    meaning: str
    example: str
    kind: str = ""

    def __str__(self) -> str:
        of = f"{self.kind}: " if self.kind else ""
        cells = (f"`{self.key}`", self.default, self.values, of + self.meaning, code(self.example))
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def table(cls: type) -> str:
    """A Markdown table of every key of a dataclass of dataclasses."""
    return HEAD + "".join(map(str, rows(cls)))


def rows(cls: type) -> list[Row]:
    """A row for every key; those that differ in their kind alone are made one."""
    kinds: dict[Row, list[str]] = {}
    for row in _section(cls, "", "", ()):
        kinds.setdefault(dataclasses.replace(row, kind=""), []).append(row.kind)
    return [dataclasses.replace(row, kind=", ".join(of)) for row, of in kinds.items()]


def _section(cls: type, prefix: str, kind: str, around: tuple[type, ...]) -> Iterator[Row]:
    """The rows of a dataclass; `around` are those that are told of elsewhere."""
    for name, hint in schema.field_types(cls).items():
        if name == "type" and kind:
            continue
        row = Row(
            key=prefix + name,
            default=DEFAULTS.get(prefix + name) or _default(cls, name),
            values=values(hint),
            meaning=first_sentence(described(cls)[name]),
            example=example(prefix + name, hint, cls, name),
            kind=kind,
        )
        yield from _field(row, hint, (*around, cls))


def _field(row: Row, hint: Any, around: tuple[type, ...]) -> Iterator[Row]:
    kinds, prefix = sections(hint), f"{row.key}."
    if kinds and typing.get_origin(hint) is dict:
        prefix += f"{ANY_KEY}."
        row = dataclasses.replace(row, default=REQUIRED)
    if not kinds or set(kinds) & set(around):
        yield row
    elif len(kinds) == 1:
        yield from _section(kinds[0], prefix, row.kind, around)
    else:
        yield from _alternatives(row, prefix, kinds, around)


def _alternatives(
    row: Row, prefix: str, kinds: list[type], around: tuple[type, ...]
) -> Iterator[Row]:
    """A row for the choice, one for each thing that can be chosen, and those of its keys."""
    tags = {_tag(kind): kind for kind in kinds}
    first, choice = next(iter(tags)), f"{prefix}type"
    yield dataclasses.replace(row, key=choice, values=wording.either(tags), example=first)
    for tag, kind in tags.items():
        key, meaning = f"{choice}: {tag}", first_sentence(summary(kind))
        yield Row(key, "", "", meaning, EXAMPLES.get(key, f"{{type: {tag}}}"), row.kind)
    for tag, kind in tags.items():
        yield from _section(kind, prefix, tag, (*around, *kinds))


def sections(hint: Any) -> list[type]:
    """The dataclasses that a type is made of."""
    if schema.is_section(hint):
        return [hint]
    if typing.get_origin(hint) is Literal:
        return []
    return [kind for part in typing.get_args(hint) for kind in sections(part)]


def _tag(kind: type) -> str:
    return str(typing.get_args(schema.field_types(kind)["type"])[0])


def values(hint: Any) -> str:
    """What a key may be, in words."""
    return wording.either(dict.fromkeys(_words(hint)))


def _words(hint: Any) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield f"{schema.noun(arguments[0])} {limits(hint)}"
    elif origin in (types.UnionType, typing.Union):
        for part in arguments:
            yield from _words(part)
    elif hint is bool or origin is Literal:
        yield from map(str, arguments or ("true", "false"))
    else:
        yield "a mapping" if schema.is_section(hint) else schema.noun(hint)


def limits(hint: Any) -> Range:
    """The Range among a type's annotations, or one without ends."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return limits(typing.get_args(hint)[0])
    extras = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Range)), Range())


def example(key: str, hint: Any, cls: type, name: str) -> str:
    """A value for a key as YAML has it, another than its default where one suggests itself."""
    if key in EXAMPLES:
        return EXAMPLES[key]
    known = None if schema.required(cls, name) else _default_of(cls, name)
    if worth := re.search(r"Worth searching: (.*)", described(cls)[name]):
        for number in NUMBER.findall(worth[1]):
            if float(number) not in (0, known):
                return str(number)
    if typing.get_origin(hint) is Literal:
        return str(next((one for one in typing.get_args(hint) if one != known), known))
    if isinstance(known, bool):
        return as_yaml(not known)
    if isinstance(known, int | float) and known:
        return as_yaml(2 * known if isinstance(known, int) else known / 2)
    if "number" not in values(hint):
        return as_yaml(known)
    return next(text for text in ("1", "0.1", "2", "10") if float(text) in limits(hint))


def _default(cls: type, name: str) -> str:
    return REQUIRED if schema.required(cls, name) else code(as_yaml(_default_of(cls, name)))


def _default_of(cls: type, name: str) -> Any:
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


def as_yaml(value: Any) -> str:
    """A default as YAML has it; of a dataclass its type."""
    if dataclasses.is_dataclass(value):
        return str(getattr(value, "type", ""))
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, default=as_yaml)


def code(text: str) -> str:
    return f"`{text}`" if text else ""
