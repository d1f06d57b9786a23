"""Training as a sequence of events that can be left and resumed at any step."""

import io
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from pairs import OPTIONS as EVERY_OPTION
from pairs import covering, name_of
from torch.utils._python_dispatch import TorchDispatchMode

from tinygpt.config import RunConfig
from tinygpt.corpus import in_memory
from tinygpt.events import Evaluated, Event, Finished, Sampled, Snapshot, Stepped, Trained
from tinygpt.schedule import learning_rate
from tinygpt.source import CorpusError
from tinygpt.tokenizer import UnseenCharacterError
from tinygpt.trainer import DivergedError, Trainer

MakeConfig = Callable[..., RunConfig]
MakeTrainer = Callable[..., Trainer]

OPTIONS = pytest.mark.parametrize("options", covering(EVERY_OPTION), ids=name_of)


@pytest.fixture
def trainer(tiny: MakeConfig, text: str) -> MakeTrainer:
    """Make a trainer of the smallest useful run, with some dotted keys set."""

    def make(values: Mapping[str, Any] | None = None, of: str = text) -> Trainer:
        return Trainer(tiny(values), in_memory("text", of.encode()))

    return make


def advance(trainer: Trainer, step: int) -> None:
    """Train until `step` updates are completed, and leave."""
    events = trainer.events()
    while trainer.step < step:
        next(events)


def finish(trainer: Trainer) -> list[Event]:
    return list(trainer.events())


def shape(events: list[Event]) -> list[tuple[str, int]]:
    return [(type(event).__name__, event.step) for event in events]


def of_kind(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_events_come_in_the_promised_order(trainer: MakeTrainer) -> None:
    values = {"train.max_iters": 5, "train.eval_interval": 2, "checkpoint.interval": 3}
    assert shape(finish(trainer(values))) == [
        ("Snapshot", 0),
        ("Evaluated", 0),
        ("Stepped", 1),
        ("Trained", 2),
        ("Stepped", 2),
        ("Snapshot", 2),
        ("Evaluated", 2),
        ("Sampled", 2),
        ("Stepped", 3),
        ("Snapshot", 3),
        ("Trained", 4),
        ("Stepped", 4),
        ("Snapshot", 4),
        ("Evaluated", 4),
        ("Sampled", 4),
        ("Trained", 5),
        ("Stepped", 5),
        ("Snapshot", 5),
        ("Evaluated", 5),
        ("Sampled", 5),
        ("Finished", 5),
    ]


@OPTIONS
def test_a_run_resumed_at_any_step_goes_on_with_the_same_bytes(
    trainer: MakeTrainer, options: dict[str, Any]
) -> None:
    values = {**options, "train.max_iters": 6, "train.eval_interval": 2}
    whole = finish(trainer(values))
    for step in range(7):
        first = trainer(values)
        advance(first, step)
        second = trainer(values)
        second.restore(first.snapshot())
        assert second.step == step
        torch.manual_seed(999)  # the global generator must not matter
        start = whole.index(Stepped(step)) + 1 if step else 0
        assert finish(second) == whole[start:], f"resumed at step {step}"


@OPTIONS
def test_a_restored_state_is_saved_as_the_same_bytes(
    trainer: MakeTrainer, options: dict[str, Any]
) -> None:
    one, two = trainer(options), trainer(options)
    for step in (0, 3):
        advance(one, step)
        two.restore(one.snapshot())
        assert two.snapshot() == one.snapshot()


def test_a_restored_state_replaces_whatever_was_there(trainer: MakeTrainer) -> None:
    one, two = trainer(), trainer()
    start = one.snapshot()
    advance(two, 5)
    two.restore(start)
    assert two.snapshot() == start
    assert finish(two) == finish(one)


def test_a_snapshot_is_plain_data_under_plain_names(trainer: MakeTrainer) -> None:
    trained = trainer()
    advance(trained, 2)
    state = torch.load(io.BytesIO(trained.snapshot()), weights_only=True)
    assert list(state) == ["step", "model", "optimizer"]
    assert state["step"] == 2
    assert list(state["model"]) == [name for name, _ in trained.model.named_parameters()]
    assert "lm_head.weight" not in state["model"], "a tied weight is saved once"
    assert {name.rpartition("/")[2] for name in state["optimizer"]} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


def test_taking_a_snapshot_changes_nothing(trainer: MakeTrainer) -> None:
    plain, watched = trainer(), trainer()
    for event in watched.events():
        if isinstance(event, Stepped):
            watched.snapshot()
    finish(plain)
    assert plain.snapshot() == watched.snapshot()


@pytest.mark.parametrize(
    "values",
    [
        {"train.eval_interval": 1},
        {"train.eval_interval": 100},
        {"train.eval_iters": 0},
        {"train.log_interval": 1},
        {"checkpoint.interval": 1},
        {"sample.max_new_tokens": 0},
        {"sample.temperature": 0, "sample.top_k": 3, "sample.prompt": "the"},
    ],
)
def test_how_a_run_is_watched_does_not_change_what_it_learns(
    trainer: MakeTrainer, values: dict[str, Any]
) -> None:
    basis = {"model.dropout": 0.2}
    plain, watched = trainer(basis), trainer({**basis, **values})
    finish(plain)
    finish(watched)
    assert plain.snapshot() == watched.snapshot()


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1},
        {"train.learning_rate": 2e-3},
        {"train.weight_decay": 0.2},
        {"train.beta1": 0.8},
        {"train.beta2": 0.9},
        {"train.grad_clip": 1e-3},
        {"train.schedule": "linear"},
        {"train.warmup_iters": 3},
        {"train.min_lr_ratio": 0.5},
        {"train.batch_size": 5},
        {"train.accumulation": 2},
        {"train.precision": "bf16"},
        {"train.schedule": "wsd"},
        {"train.optimizer": "muon"},
        {"model.dropout": 0.1},
        {"model.position": "rope"},
        {"model.norm": "rmsnorm"},
        {"model.activation": "relu2"},
        {"model.activation": "swiglu"},
        {"model.qk_norm": True},
        {"model.bias": True},
        {"model.tie_weights": False},
        {"data.val_fraction": 0.2},
    ],
)
def test_every_setting_of_the_training_has_a_part_in_it(
    trainer: MakeTrainer, values: dict[str, Any]
) -> None:
    plain, other = trainer(), trainer(values)
    finish(plain)
    finish(other)
    assert plain.snapshot() != other.snapshot()


@pytest.mark.parametrize(
    "values",
    [
        {"train.muon_lr": 0.1},
        {"train.muon_momentum": 0.8},
        {"train.muon_ns_steps": 4},
        {"train.learning_rate": 2e-3},
        {"train.weight_decay": 0.2},
    ],
)
def test_every_setting_of_muon_has_a_part_in_it(
    trainer: MakeTrainer, values: dict[str, Any]
) -> None:
    muon = {"train.optimizer": "muon"}
    plain, other = trainer(muon), trainer({**muon, **values})
    finish(plain)
    finish(other)
    assert plain.snapshot() != other.snapshot()


def test_the_first_batches_differ_from_step_to_step(trainer: MakeTrainer) -> None:
    events = finish(trainer({"train.log_interval": 1, "train.learning_rate": 1e-12}))
    assert len({event.train_loss for event in of_kind(events, Trained)}) == 12


def test_dropout_differs_from_step_to_step_and_follows_from_the_seed(
    trainer: MakeTrainer, text: str
) -> None:
    """On a text of one window all batches are equal, so what is left to differ is dropout."""
    values = {
        "model.dropout": 0.5,
        "train.learning_rate": 1e-12,
        "train.log_interval": 1,
        "train.max_iters": 5,
        "data.val_fraction": 0.5,
    }
    short = text[:18]
    losses = [
        [event.train_loss for event in of_kind(finish(trainer(values, short)), Trained)]
        for _ in range(2)
    ]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 5


def test_accumulated_gradients_are_those_of_one_large_batch(trainer: MakeTrainer) -> None:
    values = {"train.max_iters": 3, "train.warmup_iters": 0, "train.log_interval": 1}
    one = finish(trainer({**values, "train.batch_size": 12}))
    many = finish(trainer({**values, "train.batch_size": 4, "train.accumulation": 3}))
    for large, small in zip(of_kind(one, Trained), of_kind(many, Trained), strict=True):
        assert small.train_loss == pytest.approx(large.train_loss, rel=1e-5)
        assert small.grad_norm == pytest.approx(large.grad_norm, rel=1e-4)
        assert small.tokens == large.tokens


def test_rows_of_training_hold_the_rate_and_the_characters_of_their_update(
    trainer: MakeTrainer,
) -> None:
    trained = trainer({"train.log_interval": 1, "train.accumulation": 2})
    for step, event in enumerate(of_kind(finish(trained), Trained)):
        assert event.step == step + 1
        assert event.learning_rate == learning_rate(step, trained.config.train)
        assert event.tokens == (step + 1) * 4 * 2 * 8


@pytest.mark.parametrize("limit", [0.0, 1e-3, 1e9])
def test_the_norm_is_the_one_before_clipping(trainer: MakeTrainer, limit: float) -> None:
    plain, clipped = (
        of_kind(finish(trainer({"train.log_interval": 1, "train.grad_clip": clip})), Trained)[0]
        for clip in (0.0, limit)
    )
    assert clipped.grad_norm == plain.grad_norm > 0.1


@torch.no_grad()
def loss_by_hand(trainer: Trainer) -> float:
    """The mean over every character of the validation split but the first, each predicted in its
    window, one character at a time."""
    trainer.model.eval()
    ids, T = trainer.val_split.ids.long(), trainer.config.model.block_size
    nats: list[float] = []
    for place in range(len(ids) - 1):
        context = ids[place - place % T : place + 1].unsqueeze(0)
        nats.append(-trainer.model(context)[0, -1].log_softmax(-1)[ids[place + 1]].item())
    return sum(nats) / len(nats)


@pytest.mark.parametrize("fraction", [0.1, 0.104, 0.2])
def test_the_last_evaluation_is_the_mean_over_the_whole_validation_split(
    trainer: MakeTrainer, fraction: float
) -> None:
    trained = trainer({"data.val_fraction": fraction})
    last = of_kind(finish(trained), Evaluated)[-1]
    assert last.val_loss == pytest.approx(loss_by_hand(trained), rel=1e-5)
    assert last.val_loss_subset is not None


def test_only_the_last_evaluation_tells_two_losses_apart(trainer: MakeTrainer) -> None:
    *before, last = of_kind(finish(trainer()), Evaluated)
    assert all(event.val_loss_subset is None for event in before)
    assert all(event.comparable_loss == event.val_loss for event in before)
    assert last.comparable_loss == last.val_loss_subset


def test_evaluating_the_whole_split_each_time_gives_one_loss(trainer: MakeTrainer) -> None:
    trained = trainer({"train.eval_iters": 0})
    events = of_kind(finish(trained), Evaluated)
    assert events[-1].val_loss_subset == events[-1].val_loss
    assert events[-1].val_loss == pytest.approx(loss_by_hand(trained), rel=1e-5)


@pytest.mark.parametrize("eval_iters", [0, 1])
def test_evaluations_use_the_same_windows_whatever_the_batch_size_and_the_seed(
    trainer: MakeTrainer, eval_iters: int
) -> None:
    """The same weights must have the same losses, to the last bit, in every trial of a sweep."""
    values: dict[str, Any] = {"train.eval_iters": eval_iters}
    basis = trainer(values)
    advance(basis, 4)
    expected = next(event for event in basis.events() if isinstance(event, Evaluated))
    for change in ({"seed": 9}, {"train.batch_size": 7}, {"train.accumulation": 2}):
        other = trainer({**values, **change})
        other.restore(basis.snapshot())
        actual = next(event for event in other.events() if isinstance(event, Evaluated))
        assert (actual.val_loss, actual.train_loss) == (expected.val_loss, expected.train_loss)


def test_dropout_has_no_part_in_an_evaluation(trainer: MakeTrainer) -> None:
    one, two = (
        of_kind(finish(trainer({"model.dropout": dropout})), Evaluated)[0] for dropout in (0.0, 0.5)
    )
    assert one == two


def test_a_run_learns(trainer: MakeTrainer) -> None:
    values = {"train.max_iters": 60, "train.learning_rate": 1e-2, "train.eval_interval": 60}
    first, last = of_kind(finish(trainer(values)), Evaluated)
    assert first.val_loss == pytest.approx(math.log(17), rel=0.1)
    assert last.val_loss < 0.9 * first.val_loss
    assert last.train_loss < 0.9 * first.train_loss


def test_samples_begin_after_the_first_step_and_hold_what_was_asked_for(
    trainer: MakeTrainer,
) -> None:
    samples = of_kind(finish(trainer({"sample.prompt": "the "})), Sampled)
    assert [(sample.step, sample.prompt, len(sample.text)) for sample in samples] == [
        (4, "the ", 4),
        (8, "the ", 4),
        (12, "the ", 4),
    ]
    assert len({sample.text for sample in samples}) > 1


@pytest.mark.parametrize(("text", "prompt"), [("ab\ncd " * 20, "\n"), ("cab " * 40, " ")])
def test_without_a_prompt_a_line_break_or_the_first_character_is_taken(
    trainer: MakeTrainer, text: str, prompt: str
) -> None:
    assert trainer(of=text).prompt == prompt


def test_a_prompt_that_cannot_be_encoded_is_refused_before_the_first_step(
    trainer: MakeTrainer,
) -> None:
    with pytest.raises(UnseenCharacterError, match="U\\+00E9"):
        trainer({"sample.prompt": "thé"})


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_split_without_a_window_is_refused_before_the_first_step(
    trainer: MakeTrainer, fraction: float
) -> None:
    with pytest.raises(CorpusError, match="shorter than one window"):
        trainer({"data.val_fraction": fraction})


def test_a_diverging_run_stops_before_the_update_that_would_spoil_the_weights(
    trainer: MakeTrainer,
) -> None:
    trained = trainer({"train.learning_rate": 1e30, "train.eval_interval": 100})
    states: list[bytes] = [trained.snapshot()]
    events = (event for event in trained.events() if isinstance(event, Stepped))
    with pytest.raises(DivergedError, match=r"the gradient of update \d+ is not finite") as raised:
        states.extend(trained.snapshot() for _ in events)
    assert f"update {trained.step + 1} " in str(raised.value)
    assert trained.snapshot() == states[-1]
    assert all(weight.isfinite().all() for weight in trained.model.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_a_spoilt_update_names_its_step_and_leaves_what_can_be_saved(
    trainer: MakeTrainer, optimizer: str, spoilt: float
) -> None:
    trained = trainer({"train.optimizer": optimizer})
    advance(trained, 5)
    before = trained.snapshot()
    weights = trained.model.blocks.get_parameter("0.mlp.up.weight")
    weights.register_hook(lambda gradient: gradient * spoilt)
    with pytest.raises(DivergedError, match="the gradient of update 6 is not finite"):
        finish(trained)
    assert trained.snapshot() == before


@pytest.mark.parametrize("log_interval", [2, 5, 100])
def test_where_a_device_is_not_waited_for_a_spoilt_update_is_refused_before_it_is_told_or_saved(
    trainer: MakeTrainer, log_interval: int
) -> None:
    trained = trainer({"train.log_interval": log_interval, "checkpoint.interval": 4})
    trained.waits = False
    advance(trained, 5)
    gradient_is_spoilt = trained.model.token_embedding.weight.register_hook(lambda g: g * math.nan)
    told: list[Event] = []
    with pytest.raises(DivergedError, match="the gradient of update 6 is not finite"):
        told.extend(trained.events())
    assert {type(event) for event in told} <= {Stepped}
    gradient_is_spoilt.remove()
    with pytest.raises(DivergedError, match="the gradient of update 6 is not finite"):
        trained.snapshot()


class Asked(TorchDispatchMode):
    """The names of all operations that are asked of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, operation: Any, kinds: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        self.names.add(str(operation))
        return operation(*arguments, **(named or {}))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_between_two_rows_takes_no_number_out_of_torch(
    trainer: MakeTrainer, optimizer: str
) -> None:
    """On a GPU each would wait for the device."""
    trained = trainer({"train.optimizer": optimizer, "train.log_interval": 100})
    advance(trained, 5)
    with Asked() as asked:
        advance(trained, 7)
    assert "aten.mm.default" in asked.names
    assert "aten._local_scalar_dense.default" not in asked.names


def test_a_loss_that_is_not_finite_is_never_reported(trainer: MakeTrainer) -> None:
    """Whatever the learning rate, a run ends well or with DivergedError, and all it said before
    are numbers."""
    ends: Counter[str] = Counter()
    options = itertools.product(range(0, 39, 2), (False, True), (0.0, 1.0))
    for exponent, qk_norm, clip in options:
        values = {
            "train.learning_rate": 10.0**exponent,
            "train.warmup_iters": 0,
            "train.grad_clip": clip,
            "train.max_iters": 4,
            "train.eval_interval": 1,
            "train.log_interval": 1,
            "model.qk_norm": qk_norm,
            "sample.max_new_tokens": 1,
        }
        try:
            for event in trainer(values).events():
                if isinstance(event, Trained):
                    assert math.isfinite(event.train_loss + event.grad_norm)
                if isinstance(event, Evaluated):
                    assert math.isfinite(event.val_loss + event.train_loss)
            ends["finished"] += 1
        except DivergedError:
            ends["diverged"] += 1
    assert min(ends["finished"], ends["diverged"]) > 0, "both ends must have been seen"


def test_a_finished_run_says_so_again_when_it_is_resumed_at_its_end(trainer: MakeTrainer) -> None:
    first, second = trainer(), trainer()
    events = finish(first)
    second.restore(first.snapshot())
    assert finish(second) == events[-4:]
    assert isinstance(events[-4], Snapshot)
    assert events[-1] == Finished(12)


def test_a_run_whose_sample_cannot_be_drawn_has_diverged(trainer: MakeTrainer) -> None:
    trained = trainer()
    trained.model.lm_head.register_forward_hook(
        lambda module, inputs, logits: logits * math.nan if len(inputs[0]) == 1 else None
    )
    with pytest.raises(DivergedError, match="after update 4, the logits"):
        finish(trained)


@pytest.mark.chaos
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, to itself
def test_what_was_compiled_before_has_no_part_in_a_compiled_run(trainer: MakeTrainer) -> None:
    """One compilation is allowed, as in a worker that has had its eighth trial."""
    size = {"model.d_model": 96, "model.d_head": 32, "model.block_size": 64, "model.n_layers": 2}
    values = {**size, "train.compile": True, "train.precision": "bf16", "train.max_iters": 5}
    with torch._dynamo.config.patch(recompile_limit=1):
        alone = trainer(values)
        finish(alone)
        torch.compiler.reset()  # as in another process
        finish(trainer({**values, "train.batch_size": 5}))
        second = trainer(values)
        finish(second)
    assert second.snapshot() == alone.snapshot()
