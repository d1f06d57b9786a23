"""W&B's sweep files (docs.wandb.ai/models/sweeps/sweep-config-keys) as sweeps of ours."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments import bands, distributions
from experiments.aliases import run_key
from tinygpt import config, wording
from tinygpt.schema import ConfigError, Path, Problem, dotted

METHODS = {"grid": "grid", "random": "random", "bayes": "tpe"}
METRICS = ("val_loss", "eval/val_loss", "val/loss", "loss/val")
IGNORED = {
    **dict.fromkeys(("program", "command", "job", "image_uri"), "the trainer is our own"),
    "controller": "the search is made here",
    "description": "it has no place here",
    **dict.fromkeys(("kind", "apiVersion"), "it says what the file is"),
}
REFUSED = {
    "scheduler": "has no counterpart; write a sweep of this project, with its sampler",
    "metrics": "has no counterpart; write a sweep of this project, with a list as its objective",
}
MAPPED = (
    "name",
    "project",
    "entity",
    "method",
    "run_cap",
    "metric",
    "parameters",
    "early_terminate",
)
NAME_LIMIT = 64
UNCOUNTED = "says no number of trials; add run_cap: 20, or give --trials 20"


def is_wandb_sweep(data: object) -> bool:
    """Whether a file's contents are a sweep in W&B's format and not in ours."""
    return (
        isinstance(data, Mapping) and {"method", "parameters"} <= set(data) and "space" not in data
    )


def translated(
    data: Mapping[str, Any], *, counted: bool = False
) -> tuple[dict[str, Any], dict[Path, Path], list[str]]:
    """A W&B sweep in our words, the key paths there of our key paths, and a line for each thing
    that was mapped to another. `counted`: the command line says how many trials there are.

    Raises ConfigError with everything that cannot be mapped, by the keys of W&B's file.
    """
    translation = _Translation(data, counted)
    translation.translate()
    if translation.problems:
        raise ConfigError(translation.problems)
    return translation.sweep, translation.places, translation.told


@dataclass
class _Translation:
    """What becomes of one file, as far as it has been read."""

    data: Mapping[str, Any]
    counted: bool
    sweep: dict[str, Any] = field(default_factory=lambda: {"run": {}, "space": {}})
    places: dict[Path, Path] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def translate(self) -> None:
        self._labels()
        self._method()
        self._run_cap()
        self._metric()
        self._parameters()
        self._early_terminate()
        self._others()

    def put(self, ours: Path, theirs: Path, value: object) -> None:
        """Set a key of ours, which comes from a key of theirs."""
        inner: Any = self.sweep
        for place, key in enumerate(ours[:-1], 1):
            inner = inner.setdefault(key, {})
            self.places.setdefault(ours[:place], theirs)
        inner[ours[-1]] = value
        self.places[ours] = theirs

    def tell(self, theirs: Path, what: object, ours: str) -> None:
        self.told.append(f"{dotted(theirs)}: {what} -> {ours}")

    def refuse(self, where: Path, message: str) -> None:
        self.problems.append(Problem(where, message))

    def _labels(self) -> None:
        for key in ("project", "entity"):
            if key in self.data:
                self.put(("wandb", key), (key,), self.data[key])
                self.tell((key,), self.data[key], f"wandb.{key}")
        if "name" not in self.data:
            return
        name = self.data["name"]
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", str(name)).lstrip("._-")[:NAME_LIMIT].rstrip("-")
        if not isinstance(name, str) or not slug:
            rule = f"must be text with a letter or digit of ASCII, got {wording.shown(name)}"
            self.refuse(("name",), f"{rule}; give it another, or leave it out")
            return
        self.put(("name",), ("name",), slug)
        self.tell(("name",), name, f"name: {slug}")

    def _method(self) -> None:
        method = self.data["method"]
        if isinstance(method, str) and method in METHODS:
            self.put(("sampler", "type"), ("method",), METHODS[method])
            self.tell(("method",), method, f"sampler.type: {METHODS[method]}")
            return
        rule = f"must be {wording.either(METHODS)}, got {wording.shown(method)}"
        self.refuse(("method",), f"{rule}{wording.suggestion(method, METHODS)}")

    def _run_cap(self) -> None:
        if "run_cap" in self.data:
            self.put(("trials",), ("run_cap",), self.data["run_cap"])
            self.tell(("run_cap",), self.data["run_cap"], "trials")
        elif self.data["method"] == "grid":
            self.tell(("run_cap",), "none", "trials: every point of the grid")
        elif not self.counted:
            self.refuse((), UNCOUNTED)

    def _metric(self) -> None:
        metric = self.data.get("metric", {})
        if not isinstance(metric, Mapping):
            rule = f"must be a mapping of keys, got {wording.shown(metric)}"
            self.refuse(("metric",), f"{rule}; write {{name: val_loss, goal: minimize}}")
            return
        name, goal = metric.get("name", "val_loss"), metric.get("goal", "minimize")
        if name not in METRICS:
            rule = f"must be {wording.either(METRICS)}, got {wording.shown(name)}"
            self.refuse(("metric", "name"), f"{rule}; it is the loss on the validation split")
        if goal != "minimize":
            rule = f"must be minimize, for a loss is; got {wording.shown(goal)}"
            self.refuse(("metric", "goal"), rule)
        for key in metric:
            if key not in ("name", "goal"):
                self._metric_option(key, metric[key])
        where: Path = ("metric",) if "metric" in self.data else ()
        for ours, theirs, value in (("metric", "name", "val_loss"), ("direction", "goal", goal)):
            source = (*where, theirs) if theirs in metric else where
            self.put(("objective", ours), source, value)
        self.tell(("metric",), f"{name}, {goal}", "objective: val_loss, minimize")

    def _metric_option(self, key: str, value: object) -> None:
        if key.startswith("impute"):
            self.tell(("metric", key), value, "ignored: a failed trial is told as failed")
        elif key == "target":
            rule = "has no counterpart: a sweep ends with its last trial; leave it out"
            self.refuse(("metric", key), rule)
        else:
            near = wording.suggestion(key, ("name", "goal"))
            self.refuse(("metric", key), f"unknown key{near}")

    def _parameters(self) -> None:
        self.places |= {("run",): ("parameters",), ("space",): ("parameters",)}
        taken: dict[str, str] = {}
        for where, name, entry in self._entries(self.data["parameters"], ("parameters",), ""):
            try:
                key = run_key(name)
                if key in taken:
                    rule = f"means {key}, as {taken[key]} does; remove one"
                    raise ConfigError([Problem((), rule)])
                taken[key] = dotted(where)
                self._parameter(where, key, entry)
            except ConfigError as error:
                self.problems += [problem.under(where) for problem in error.problems]

    def _entries(self, group: object, where: Path, prefix: str) -> Iterator[tuple[Path, str, Any]]:
        """Every parameter with its path and its dotted name; those of groups too."""
        if not isinstance(group, Mapping) or not group:
            self.refuse(where, f"must be a mapping of parameters, got {wording.shown(group)}")
            return
        for name, entry in group.items():
            if isinstance(entry, Mapping) and "parameters" in entry:
                inner = (*where, name, "parameters")
                yield from self._entries(entry["parameters"], inner, f"{prefix}{name}.")
            else:
                yield (*where, name), f"{prefix}{name}", entry

    def _parameter(self, where: Path, key: str, entry: Any) -> None:
        if not isinstance(entry, Mapping):
            rule = f"must be a mapping of keys, got {wording.shown(entry)}"
            raise ConfigError([Problem((), f"{rule}; {distributions.ADVICE}")])
        if distributions.distribution(entry) == "constant":
            self._constant(where, key, entry)
            return
        drawn = distributions.drawn(entry, key)
        self.put(("space", key), where, drawn.parameter)
        self.places |= {
            ("space", key, ours): (*where, theirs) for ours, theirs in drawn.sources.items()
        }
        for place in range(len(drawn.parameter.get("choices", ()))):
            self.places["space", key, "choices", place] = (*where, "values", place)
        kind = drawn.parameter["type"] + (", log" if drawn.parameter.get("log") else "")
        if drawn.words.startswith("int_") and not distributions.takes_whole(key):
            kind += ", as W&B reads whole bounds; write 1.0 for real numbers"
        self.tell(where, drawn.words, f"space.{key}: {kind}")

    def _constant(self, where: Path, key: str, entry: Mapping[str, Any]) -> None:
        value = distributions.constant(entry)
        self.put(("run", *key.split(".")), (*where, "value"), value)
        self.tell(where, value, f"run.{key}")

    def _early_terminate(self) -> None:
        if "early_terminate" not in self.data:
            return
        where, options = ("early_terminate",), self.data["early_terminate"]
        interval = self._eval_interval()
        try:
            pruner, sources = bands.pruner(options, interval)
        except ConfigError as error:
            self.problems += [problem.under(where) for problem in error.problems]
            return
        for key, value in pruner.items():
            source = (*where, sources[key]) if key in sources else where
            self.put(("pruner", key), source, value)
        told = ", ".join(f"{key} {value}" for key, value in pruner.items() if key != "type")
        each = f"in updates: W&B counts evaluations, one every {interval} updates"
        self.tell(where, "hyperband", f"pruner: hyperband, {told} ({each})")
        if "strict" in options:
            self.tell((*where, "strict"), options["strict"], "ignored: Optuna's has no such option")

    def _eval_interval(self) -> int:
        """Updates from one evaluation to the next."""
        if "train.eval_interval" in self.sweep["space"]:
            rule = "counts evaluations, and eval_interval is searched; give that one a value"
            self.refuse(("early_terminate",), rule)
        default = config.TrainConfig().eval_interval
        interval = self.sweep["run"].get("train", {}).get("eval_interval", default)
        return interval if type(interval) is int else default

    def _others(self) -> None:
        for key, value in self.data.items():
            if key in IGNORED:
                self.tell((key,), wording.shown(value), f"ignored: {IGNORED[key]}")
            elif key in REFUSED:
                self.refuse((key,), REFUSED[key])
            elif key not in MAPPED:
                near = wording.suggestion(key, (*MAPPED, *IGNORED))
                way = f"; a key of ours goes on the command line: --set {key}=VALUE"
                self.refuse((key,), f"is no key of a W&B sweep{near}{way}")
