"""What the parts of a run take, measured on its real steps for an estimate before it is trained,
and the speed of a trained model."""

import dataclasses
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import torch

from tinygpt import hardware
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.dataset import WINDOWS_PER_BATCH
from tinygpt.events import Evaluated, Event, Snapshot, Stepped, Trained
from tinygpt.figures import Figures
from tinygpt.model import TinyGPT
from tinygpt.sampling import generate_tokens
from tinygpt.trainer import DivergedError, Trainer

BATCHES = 2
"""What one evaluation of a probe looks at: a batch of each split."""
MEASURED_SECONDS = 0.3
"""How long a forward pass is repeated."""
LEAST_PASSES = 5

Clock = Callable[[], float]


def probe(
    settled: RunConfig,
    corpus: Corpus,
    seconds: float = 1.0,
    stopping: Callable[[], bool] = lambda: False,
    clock: Clock = time.perf_counter,
) -> Figures | None:
    """Train for about so many seconds, the first update not counted, and forget it; medians. None
    if `stopping()` before anything was measured."""
    hardware.configure(settled.train)
    began = clock()
    trainer = Trainer(endless(settled), corpus)
    setup = clock() - began
    spent = laps(trainer.events(), 0.75 * seconds, stopping, clock)
    if not spent[Stepped]:
        return None
    middle = {kind: statistics.median(times) for kind, times in spent.items() if times}
    sample = 0.0 if stopping() else text_seconds(settled, trainer, 0.25 * seconds, clock)
    evaluation = middle.get(Evaluated, 0.0) / BATCHES
    return Figures(setup, middle[Stepped], evaluation, sample, middle.get(Snapshot, 0.0))


def endless(settled: RunConfig) -> RunConfig:
    """The run with an evaluation after every update and no end, learning too slowly to diverge."""
    train = dataclasses.replace(
        settled.train,
        max_iters=10**9,
        eval_interval=1,
        eval_iters=1,
        log_interval=1,
        learning_rate=1e-9,
        muon_lr=1e-9,
    )
    sample = dataclasses.replace(settled.sample, max_new_tokens=0)
    return dataclasses.replace(settled, train=train, sample=sample)


def laps(
    events: Iterator[Event], seconds: float, stopping: Callable[[], bool], clock: Clock
) -> dict[type[Event], list[float]]:
    """The times of each kind of event, those up to the first update only where there are no others;
    an update's is that of `Stepped`."""
    cold: dict[type[Event], list[float]] = defaultdict(list)
    warm: dict[type[Event], list[float]] = defaultdict(list)
    spent, began, deadline = cold, clock(), float("inf")
    try:
        for event in events:
            now = clock()
            if not isinstance(event, Stepped):
                kind: type[Event] = Stepped if isinstance(event, Trained) else type(event)
                spent[kind].append(now - began)
            elif spent is cold:
                spent, deadline = warm, now + seconds
            if stopping() or (spent[Stepped] and now > deadline):
                break
            began = clock()
    except DivergedError:  # a spoilt beginning; what was measured holds
        pass
    kinds = (Stepped, Evaluated, Snapshot)
    return {kind: warm[kind] or cold[kind] for kind in kinds}


def text_seconds(settled: RunConfig, trainer: Trainer, seconds: float, clock: Clock) -> float:
    """What the text of one evaluation takes: characters are dearer once it fills the block."""
    wanted, block = settled.sample.max_new_tokens, settled.model.block_size
    ids = trainer.tokenizer.encode(trainer.prompt)[-block:]
    short = min(wanted, block - len(ids))
    trainer.model.eval()

    def character(prompt: list[int], most: int) -> float:
        tokens = generate_tokens(trainer.model, prompt, most, seed=0)
        return per_item(tokens, seconds / 2, clock)

    total = short * character(ids, short) if short else 0.0
    if wanted > short:
        whole = list(itertools.islice(itertools.cycle(ids), block))
        total += (wanted - short) * character(whole, wanted - short)
    return total


def per_item(items: Iterator[int], seconds: float, clock: Clock = time.perf_counter) -> float:
    """The median time that the next item takes, over about so many seconds; the first is left out
    unless it is alone."""
    times: list[float] = []
    began = deadline = clock()
    deadline += seconds
    for _ in items:
        now = clock()
        times.append(now - began)
        if now > deadline:
            break
        began = clock()
    return statistics.median(times[1:] or times)


@torch.inference_mode()
def seconds_per_token(
    model: TinyGPT, precision: str, clock: Clock = time.perf_counter, most: float = MEASURED_SECONDS
) -> float:
    """The time of one character in a forward pass over a fixed batch of whole windows, in the
    precision of the training; a median. The model is left in evaluation mode."""
    model.eval()
    device, block = next(model.parameters()).device, model.config.block_size
    count = WINDOWS_PER_BATCH * block
    ids = torch.arange(count, device=device) % model.token_embedding.num_embeddings
    times: list[float] = []
    deadline = clock() + most
    while len(times) <= LEAST_PASSES or clock() < deadline:
        began = clock()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(ids.view(WINDOWS_PER_BATCH, block))
        logits[-1, -1, -1].item()  # waits for a GPU
        times.append(clock() - began)
    return statistics.median(times[1:]) / count
