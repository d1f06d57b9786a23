"""The training of one model, as a generator of events that can be left and resumed at any step.

Nothing here touches a file or a clock, and nothing random lives from one step to the next: the
state is the weights, the optimizer's moments and the number of completed updates.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor

from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.dataset import WINDOWS_PER_BATCH, Batch, CharDataset, split
from tinygpt.events import Evaluated, Event, Finished, Sampled, Snapshot, Stepped, Trained
from tinygpt.files import RecordError
from tinygpt.model import TinyGPT
from tinygpt.optim import optimizers, set_learning_rate
from tinygpt.sampling import Choice, NotFiniteError, generate_tokens
from tinygpt.schedule import due, learning_rate, share
from tinygpt.seeding import derive
from tinygpt.state import from_bytes, to_bytes


class DivergedError(ArithmeticError):
    """A loss, a gradient or a sample's logits are not finite. An update that it would have made was
    not made; if an evaluation shows it, the weights of that step are spoilt already."""


class Trainer:
    """One model in training on a text; `step` is the number of completed updates."""

    def __init__(self, config: RunConfig, corpus: Corpus) -> None:
        """`config` must be settled (no `auto`). Raises CorpusError if a split is shorter than a
        window, UnseenCharacterError if the sample's prompt cannot be encoded."""
        tokenizer = corpus.tokenizer
        self.config, self.tokenizer, self.step = config, tokenizer, 0
        first = "\n" if "\n" in tokenizer.characters else tokenizer.characters[0]
        self.prompt = config.sample.prompt or first
        self._prompt_ids = tokenizer.encode(self.prompt)
        self.device = torch.device(config.train.device)
        self.train_split, self.val_split = split(
            on_device(corpus.ids, self.device), config.data.val_fraction, config.model.block_size
        )
        model = TinyGPT(config.model, len(tokenizer)).initialise(derive(config.seed, "init", 0))
        self.model = model.to(self.device)
        self.optimizers = optimizers(self.model, config.train)
        self.waits = self.device.type == "cpu"
        self._spoiled = torch.zeros((), dtype=torch.int64, device=self.device)
        self._weights = list(self.model.parameters())
        self._loss = compiled(self.model) if config.train.compile else self.model.loss

    def events(self) -> Iterator[Event]:
        """Train from `step` to the end.

        Of one step: Trained where due, Stepped, then Snapshot, Evaluated and Sampled where due. At
        Stepped the step is over and may be the last; what follows a snapshot comes again for
        whoever resumes from it.
        """
        train, last = self.config.train, self.config.train.max_iters
        while True:
            evaluates = due(self.step, train.eval_interval, last)
            if evaluates or due(self.step, self.config.checkpoint.interval, last):
                yield Snapshot(self.step, self.snapshot())
            if evaluates:
                yield self._evaluate(whole=self.step == last)
                yield from self._sample()
            if self.step == last:
                break
            yield from self._update()
        yield Finished(self.step)

    def snapshot(self) -> bytes:
        """The state after `step` updates: `step`, the weights of `model` and the moments of
        the optimizers by name. Raises DivergedError if there is no such state, or if it is not
        finite.

        Equal states give equal bytes: a flat mapping holds no object twice, and what is a function
        of config and step (the learning rate) is not in it.
        """
        self._refuse_spoiled(int(self._spoiled))
        weights = dict(self.model.named_parameters())
        moments = {
            f"{name}/{moment}": value
            for name, weight in weights.items()
            for optimizer in self.optimizers
            for moment, value in optimizer.state.get(weight, {}).items()
        }
        model = {name: weight.detach() for name, weight in weights.items()}
        if not are_finite([*model.values(), *moments.values()]):
            raise DivergedError(f"the weights after update {self.step} are not finite")
        return to_bytes({"step": self.step, "model": model, "optimizer": moments})

    def restore(self, state: bytes) -> None:
        """Take over a state that `snapshot` gave for the same config; runs no code from it. Raises
        RecordError if it is something else."""
        saved = from_bytes(state, self.device)
        weights = dict(self.model.named_parameters())
        if shapes(saved.get("model")) != shapes(weights):
            raise RecordError("not a state of this model")
        self.model.load_weights(saved["model"])
        state_of = {
            weight: optimizer.state
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        }
        for optimizer in self.optimizers:
            optimizer.state.clear()
        for key, value in saved["optimizer"].items():
            name, _, moment = key.rpartition("/")
            if name not in weights:
                raise RecordError(f"no weight of this model is {name}")
            state_of[weights[name]][weights[name]][moment] = value
        self.step = saved["step"]
        self._spoiled.zero_()

    def _update(self) -> Iterator[Event]:
        train = self.config.train
        rate = learning_rate(self.step, train)
        set_learning_rate(self.optimizers, share(self.step, train))
        loss, grad_norm = self._gradient()
        self._check(loss, grad_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if due(self.step, train.log_interval, train.max_iters):
            mean, norm, spoiled = torch.stack((loss, grad_norm, self._spoiled)).tolist()
            self._refuse_spoiled(int(spoiled))
            yield Trained(self.step, mean, rate, norm, self._tokens())
        yield Stepped(self.step)

    def _gradient(self) -> tuple[Tensor, Tensor]:
        """The mean loss over the step's micro-batches, and the norm of its gradient before
        clipping."""
        self.model.train()
        if self.config.model.dropout:
            self._seed_dropout()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        train, total = self.config.train, torch.zeros((), device=self.device)
        for batch in self._micro_batches():
            with self._autocast():
                loss = self._loss(*batch) / train.accumulation
            torch.autograd.backward(loss)
            total += loss.detach()
        limit = train.grad_clip or math.inf
        return total, torch.nn.utils.clip_grad_norm_(self._weights, limit)

    def _check(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Raise DivergedError before an update with a loss or gradient that is not finite.

        A GPU would have to be waited for: there the update is only noted as spoiled, to be refused
        before anything of it is told or saved.
        """
        total = loss + grad_norm
        difference = total - total  # not a number where the total is infinite or none
        if self.waits:
            if not torch.equal(difference, torch.zeros_like(difference)):
                self._refuse_spoiled(self.step + 1)
        else:
            fresh = (self._spoiled == 0) & difference.isnan()
            self._spoiled += fresh * (self.step + 1)

    def _refuse_spoiled(self, update: int) -> None:
        if update:
            raise DivergedError(f"the loss or the gradient of update {update} is not finite")

    def _micro_batches(self) -> Iterator[Batch]:
        train = self.config.train
        batch = self.train_split.batch(
            self.config.seed, self.step, train.batch_size * train.accumulation
        )
        chunks = zip(*(torch.split(part, train.batch_size) for part in batch), strict=True)
        return (Batch(*chunk) for chunk in chunks)

    def _seed_dropout(self) -> None:
        seed = derive(self.config.seed, "dropout", self.step)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)

    def _evaluate(self, whole: bool) -> Evaluated:
        count = WINDOWS_PER_BATCH * self.config.train.eval_iters
        subset = self._mean_loss(self.val_split, count)
        full = self._mean_loss(self.val_split, 0) if whole and count else subset
        train_loss = self._mean_loss(self.train_split, count or len(self.val_split.spread(0)))
        for loss in (subset, full, train_loss):
            if not math.isfinite(loss):
                raise DivergedError(f"a loss after update {self.step} is not finite")
        event = Evaluated(self.step, full, train_loss, self._tokens())
        return dataclasses.replace(event, val_loss_subset=subset) if whole else event

    @torch.inference_mode()
    def _mean_loss(self, dataset: CharDataset, count: int) -> float:
        """The mean over `count` windows; 0: over every prediction the text allows."""
        self.model.eval()
        tail = dataset.tail() if count == 0 else None
        total, predictions = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for batch in chain(dataset.fixed(dataset.spread(count)), [tail] if tail else []):
            with self._autocast():
                loss = self.model.loss(*batch)
            total += loss.double() * batch.targets.numel()
            predictions += batch.targets.numel()
        return total.item() / predictions

    def _sample(self) -> Iterator[Sampled]:
        sample = self.config.sample
        if sample.max_new_tokens == 0 or self.step == 0:
            return
        self.model.eval()
        tokens = generate_tokens(
            self.model,
            self._prompt_ids,
            sample.max_new_tokens,
            seed=derive(self.config.seed, "sample", self.step),
            choice=Choice(sample.temperature, sample.top_k, sample.top_p),
        )
        try:
            yield Sampled(self.step, self.prompt, self.tokenizer.decode(tokens))
        except NotFiniteError as error:
            raise DivergedError(f"after update {self.step}, {error}") from None

    def _autocast(self) -> torch.autocast:
        bf16 = self.config.train.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    def _tokens(self) -> int:
        return self.step * self.config.tokens_per_step


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every number in the tensors is one, and finite."""
    there = list(tensors)
    # A sum is finite only if all in it are, and quickly made; one of very large numbers proves
    # nothing, and then each is looked at.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in there])
    return bool(sums.isfinite().all()) or all(bool(one.isfinite().all()) for one in there)


def shapes(tensors: object) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each tensor in a mapping, by its name; of nothing else."""
    named = tensors.items() if isinstance(tensors, Mapping) else ()
    return {name: (one.shape, one.dtype) for name, one in named if isinstance(one, Tensor)}


def compiled(model: TinyGPT) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a model, compiled for fixed shapes, whatever this process compiled before: what
    is kept of earlier models would decide how, and so the bits."""
    torch.compiler.reset()
    loss: Callable[[Tensor, Tensor], Tensor] = torch.compile(model.loss, dynamic=False)
    return loss


def on_device(ids: Tensor, device: torch.device) -> Tensor:
    """The ids of a text where the model is; on a CPU the pages of their file."""
    if device.type == "cpu":
        return ids
    # CUDA does not index uint16.
    return ids.to(device, torch.int32 if ids.dtype == torch.uint16 else ids.dtype)
