"""What happens in a run, as plain values in the order in which it happens.

`step` is always the number of completed updates.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stepped:
    """An update was completed and reported: a run may be left here."""

    step: int


@dataclass(frozen=True, slots=True)
class Trained:
    """The update that completed `step`: the loss of its batch (nats per character), the learning
    rate and the norm of the gradient before clipping; `tokens` counts all characters trained on."""

    step: int
    train_loss: float
    learning_rate: float
    grad_norm: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state after `step` updates, as bytes that `Trainer.restore` reads."""

    step: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Losses in nats per character, on the same windows each time.

    The last one of a run has `val_loss` on the whole validation split, and in `val_loss_subset` the
    loss on the windows of the earlier ones, so that the two can be told apart.
    """

    step: int
    val_loss: float
    train_loss: float
    tokens: int
    val_loss_subset: float | None = None

    @property
    def comparable_loss(self) -> float:
        """The validation loss on the windows that all evaluations of a run share."""
        return self.val_loss if self.val_loss_subset is None else self.val_loss_subset


@dataclass(frozen=True, slots=True)
class Sampled:
    """Text written by the model after `step` updates; `text` goes on where `prompt` ends."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All updates are done and the last evaluation is made."""

    step: int


@dataclass(frozen=True, slots=True)
class Started:
    """A run begins (step 0) or goes on from a checkpoint: the size of its model, what a character
    costs in training (tinygpt/flops.py), and in `warning` what has changed since then that decides
    the bits of the result."""

    step: int
    parameters: int
    flops_per_token: int
    warning: str | None


@dataclass(frozen=True, slots=True)
class Saved:
    """The state after `step` updates survives from now on."""

    step: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run was left after `step` updates because it was asked to; its state is saved."""

    step: int


Event = Stepped | Trained | Snapshot | Evaluated | Sampled | Finished
"""What a trainer yields."""

Durable = Started | Stepped | Trained | Saved | Evaluated | Sampled | Finished | Stopped
"""What an execution hands on, after it is on disk."""
