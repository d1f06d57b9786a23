"""The faults that somebody might make in the product, and what must see each of them."""

from dataclasses import dataclass

POWER = ("chaos", "power", "--sample", "8")
CORRUPTION = ("chaos", "corruption", "--sample", "1")
TRAINER = ("chaos", "trainer", "--sample", "200")
DRIVER = ("chaos", "driver", "--sample", "40")
WORKER = ("chaos", "worker", "--sample", "60")


def guard(file: str) -> tuple[str, ...]:
    """The command that runs the tests of a file."""
    return ("pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", f"tests/{file}")


@dataclass(frozen=True)
class Edit:
    """A text that occurs once in a file of the product, and what stands there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A fault that somebody might make; `check` is what must see it."""

    name: str
    check: tuple[str, ...]
    edits: tuple[Edit, ...]


def mutant(name: str, check: tuple[str, ...], file: str, old: str, new: str = "") -> Mutant:
    """One with a single edit."""
    return Mutant(name, check, (Edit(file, old, new),))


MUTANTS = (
    mutant(
        "contents are not synced",
        POWER,
        "tinygpt/durable.py",
        '    announce("sync", path)\n',
        "    return\n",
    ),
    mutant(
        "names are not synced",
        POWER,
        "tinygpt/durable.py",
        '    announce("sync directory", path)\n',
        "    return\n",
    ),
    mutant(
        "a checkpoint is acknowledged before its name is synced",
        POWER,
        "tinygpt/checkpoint.py",
        "        raise\n    durable.sync_directory(directory)\n",
        "        raise\n",
    ),
    mutant(
        "the record is not synced before the manifest that names its length",
        POWER,
        "tinygpt/execute.py",
        "record.path.name: record.sync() for record",
        'record.path.name: {"bytes": record._bytes, "sha256": record._digest.hexdigest()}'
        " for record",
    ),
    mutant(
        "a checkpoint is acknowledged before it is saved",
        POWER,
        "tinygpt/execute.py",
        "                    yield self._save(event.step, event.state, seconds)\n",
        "                    yield Saved(event.step)\n"
        "                    self._save(event.step, event.state, seconds)\n",
    ),
    mutant(
        "the record is not cut back",
        POWER,
        "tinygpt/durable.py",
        "        os.ftruncate(descriptor, size)\n",
        "        pass\n",
    ),
    mutant(
        "older checkpoints are removed before the new one is saved",
        POWER,
        "tinygpt/execute.py",
        "        if step != self._taken_over:",
        "        checkpoint.retain(self.run_dir.checkpoints, set())\n"
        "        if step != self._taken_over:",
    ),
    Mutant(
        "a checkpoint is written under its last name, the manifest first",
        POWER,
        (
            Edit(
                "tinygpt/checkpoint.py",
                '            durable.write_new(temporary / "state.pt", state)\n',
                "",
            ),
            Edit(
                "tinygpt/checkpoint.py",
                "        durable.sync_directory(temporary)\n",
                '        durable.write_new(temporary / "state.pt", state)\n',
            ),
            Edit(
                "tinygpt/checkpoint.py",
                '    temporary = directory / f"{target.name}.tmp"\n',
                "    temporary = target\n",
            ),
        ),
    ),
    mutant(
        "files are written in place",
        TRAINER,
        "tinygpt/files.py",
        "        durable.write_new(temporary, data)\n        durable.rename(temporary, path)\n",
        "        path.unlink(missing_ok=True)\n        durable.write_new(path, data)\n",
    ),
    mutant(
        "what killed writers left is kept",
        POWER,
        "tinygpt/files.py",
        "        durable.remove(path)\n",
        "        pass\n",
    ),
    mutant(
        "dropout is not seeded by the step",
        POWER,
        "tinygpt/trainer.py",
        "            self._seed_dropout()\n",
        "            pass\n",
    ),
    mutant(
        "old checkpoints are not removed at the start",
        guard("tinygpt/test_execute.py"),
        "tinygpt/execute.py",
        "        checkpoint.retain(self.run_dir.checkpoints, self._retained())\n"
        "        return [*changes",
        "        return [*changes",
    ),
    mutant(
        "the digest of a state is not checked",
        CORRUPTION,
        "tinygpt/checkpoint.py",
        'if manifest["sha256"] != _sha256(state):',
        "if False:",
    ),
    mutant(
        "the sampler is kept from trial to trial",
        guard("experiments/test_search.py"),
        "experiments/proposal.py",
        '            sampler = self._sampler(self._seed(number, "sampler", draw))\n',
        '            sampler = vars(self).setdefault("kept", self._sampler(self._sweep.seed))\n',
    ),
    mutant(
        "the study is not brought level with the record",
        DRIVER,
        "experiments/store.py",
        "            self._catch_up(trial, known)\n",
        "            pass\n",
    ),
    Mutant(
        "a result is written after the study is told",
        WORKER,
        (
            Edit(
                "experiments/driver.py",
                "        verdict = self.roster.verdict(trial.number, step)\n",
                "        verdict = self.roster.verdict(trial.number, step)\n"
                '        if verdict.word == "prune":\n'
                '            told = replace(trial, state="pruned", value=val_loss)\n'
                "            self.roster._store.tell(told)\n",
            ),
            Edit(
                "experiments/store.py",
                "        with self._undisturbed():\n"
                "            trial_id = self._ids[trial.number]\n"
                "            for name",
                "        with self._undisturbed():\n"
                "            trial_id = self._ids[trial.number]\n"
                "            if self._storage.get_trial(trial_id).state.is_finished():\n"
                "                return\n"
                "            for name",
            ),
        ),
    ),
    # What follows heals or hides itself where only one thing goes wrong, so no layer can see it.
    mutant(
        "rows that are computed again are not compared",
        guard("tinygpt/test_record.py"),
        "tinygpt/record.py",
        "        if recorded is not None and _place(recorded) == _place(line):\n",
        "        if False:\n",
    ),
    mutant(
        "damaged checkpoints are kept in the place of sound ones",
        guard("tinygpt/test_checkpoint.py"),
        "tinygpt/checkpoint.py",
        "    for step in losses:\n        set_aside",
        "    for step in [s for s in losses if found is None or s > found.step]:\n"
        "        set_aside",
    ),
    mutant(
        "an attempt that was overtaken goes on",
        guard("tinygpt/test_attempt.py"),
        "tinygpt/attempt.py",
        "        if self._signature() != self._signed:\n",
        "        if False:\n",
    ),
    mutant(
        "the sampler is seeded without the number of the trial",
        guard("experiments/test_search.py"),
        "experiments/proposal.py",
        'self._seed(number, "sampler", draw)',
        'self._seed(0, "sampler", draw)',
    ),
)
QUICK = ("an attempt that was overtaken goes on",)
