"""The configuration of one run: every name, unit, range and default, in one place.

The dotted names (`train.learning_rate`) are the same in YAML, on the command line and in
`config.json`. `auto` values are settled once, before the first step; no run directory holds one.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tinygpt import schema
from tinygpt.schema import Checked, ConfigError, Problem, Range

Positive = Annotated[int, Range(minimum=1)]
Count = Annotated[int, Range(minimum=0)]
Fraction = Annotated[float, Range(minimum=0, maximum=1)]
Decay = Annotated[float, Range(minimum=0, below=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Checked):
    """The text and its split."""

    corpus: str = "auto"
    """`tiny_shakespeare`, `python_docs`, the path of a UTF-8 text file or of a directory whose .txt
    files at any depth are one text in the order of their paths, or `auto`: the first of the two
    named ones that can be had within seconds."""
    sha256: str = ""
    """Digest of the corpus's bytes; another corpus under the same name is refused. Empty: not yet
    pinned, filled in before the first step."""
    val_fraction: Annotated[float, Range(above=0, below=1)] = 0.1
    """Share of the characters, at the end of the text, held out for validation."""

    def rules(self) -> Iterator[Problem]:
        if not self.corpus:
            yield Problem(("corpus",), "must name a corpus or a file, got nothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Checked):
    """The network, a pre-norm transformer decoder."""

    block_size: Positive = 64
    """Context length, in characters."""
    d_model: Positive = 128
    """Width of the residual stream. Worth searching: 32 to 384."""
    d_head: Positive = 32
    """Width of one attention head; there are d_model / d_head of them."""
    n_layers: Positive = 4
    """Number of transformer blocks. Worth searching: 1 to 8."""
    dropout: Decay = 0.0
    """Probability that an activation is dropped in training (Srivastava et al. 2014, jmlr.org
    v15/srivastava14a). Worth searching: 0 to 0.3, above 0 where the text is learned many times."""
    position: Literal["learned", "rope"] = "learned"
    """How a position enters: a learned embedding per position, as in GPT-2, or queries and keys
    turned by an angle that grows with it (rope: Su et al. 2021, arXiv:2104.09864)."""
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    """Normalisation before attention, MLP and head (layernorm: Ba et al. 2016, arXiv:1607.06450;
    rmsnorm: Zhang and Sennrich 2019, arXiv:1910.07467)."""
    activation: Literal["gelu", "relu2", "swiglu"] = "gelu"
    """Nonlinearity of the MLP (gelu: Hendrycks and Gimpel 2016, arXiv:1606.08415; relu2, a squared
    ReLU: So et al. 2021, arXiv:2109.08668; swiglu, gated, with as many parameters as the others:
    Shazeer 2020, arXiv:2002.05202)."""
    qk_norm: bool = False
    """Whether queries and keys are scaled to unit root mean square (Henry et al. 2020,
    arXiv:2010.04245)."""
    bias: bool = False
    """Whether linear layers and LayerNorms have a bias, as in GPT-2."""
    tie_weights: bool = True
    """Whether the head uses the token embedding's weights (Press and Wolf 2017,
    arXiv:1608.05859)."""

    def rules(self) -> Iterator[Problem]:
        if self.position == "rope" and self.d_head % 2:
            yield Problem(("d_head",), f"must be even for position rope, got {self.d_head}")
        if self.d_model % self.d_head:
            yield Problem(
                ("d_model",), f"must be a multiple of d_head ({self.d_head}), got {self.d_model}"
            )

    @property
    def n_heads(self) -> int:
        return self.d_model // self.d_head


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(Checked):
    """Optimisation, evaluation and the machine's part in both."""

    batch_size: Positive = 32
    """Windows per micro-batch, each of block_size characters. Worth searching: 8 to 64, at equal
    tokens."""
    max_iters: Positive = 1000
    """Number of updates."""
    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    """Peak learning rate, reached after the warmup. Worth searching: 3e-4 to 3e-2, log."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) for all weights, or Muon (Jordan et al.
    2024, kellerjordan.github.io/posts/muon) for the matrices inside the blocks and AdamW for the
    rest."""
    muon_lr: Annotated[float, Range(above=0)] = 0.02
    """Peak learning rate of the matrices that Muon trains; it follows the same schedule. Worth
    searching: 5e-3 to 1e-1, log."""
    muon_momentum: Decay = 0.95
    """Decay of the mean of the gradient in Muon. Worth searching: 0.85 to 0.98."""
    muon_ns_steps: Annotated[int, Range(minimum=1, below=100)] = 5
    """Newton-Schulz iterations by which Muon makes an update orthogonal; fewer cost less time and
    leave it less so. Worth searching: 3 to 5."""
    weight_decay: Annotated[float, Range(minimum=0)] = 0.1
    """Decoupled decay of matrices and embeddings; gains and biases are exempt. Worth searching: 0
    to 0.3."""
    beta1: Decay = 0.9
    """Decay of the mean of the gradient in AdamW. Worth searching: 0.8 to 0.95."""
    beta2: Decay = 0.99
    """Decay of the mean of its square. Worth searching: 0.9 to 0.999."""
    grad_clip: Annotated[float, Range(minimum=0)] = 1.0
    """Largest norm of the gradient (Pascanu et al. 2013, arXiv:1211.5063); 0: not clipped. Worth
    searching: 0, and 0.3 to 3, log."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """Shape of the learning rate from the end of the warmup to max_iters (cosine: Loshchilov and
    Hutter 2017, arXiv:1608.03983; wsd, constant and then a linear fall: Hu et al. 2024,
    arXiv:2404.06395)."""
    decay_fraction: Annotated[float, Range(above=0, maximum=1)] = 0.4
    """Share of max_iters over which wsd falls, at most what follows the warmup. Worth searching:
    0.1 to 0.8."""
    warmup_iters: Count = 50
    """Updates over which the learning rate rises linearly from 0; a shorter run ends on the way
    up. Worth searching: 1 to 10 percent of max_iters."""
    min_lr_ratio: Fraction = 0.1
    """Learning rate at max_iters, as a share of the peak; constant does not fall. Worth searching:
    0 to 0.1."""
    accumulation: Positive = 1
    """Micro-batches per update, whose gradients are averaged: a batch larger than memory holds."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Format of the model's matrix products; weights, norms and loss are fp32 either way, on a CPU
    attention too, and Muon's own products are bf16 either way. auto: bf16 where the processor or
    the GPU multiplies in it, else fp32."""
    deterministic: bool = True
    """Whether a GPU may only use kernels that give the same bits every time; a CPU always does."""
    compile: bool = False
    """Whether torch.compile fuses the model: minutes at the start, other bits than without."""
    threads: Positive = 1
    """Torch threads; part of the result's identity, so never taken from the machine."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train. auto: the GPU if there is one."""
    eval_interval: Positive = 100
    """Updates between evaluations; there is one at step 0 and one at the end besides."""
    eval_iters: Count = 10
    """Batches of 32 windows per evaluation, the same ones each time; 0: the whole validation
    split. The last evaluation is always on the whole split. Where block_size is searched, trials
    of another block_size are evaluated on other windows, so pruning compares less exactly."""
    log_interval: Positive = 10
    """Updates between rows of training loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig(Checked):
    """When the state is saved, and for how long it is kept."""

    interval: Count = 0
    """Updates between checkpoints; 0: only at evaluations, where there is always one."""
    keep: Annotated[int, Range(minimum=2)] = 2
    """Newest checkpoints kept besides the best; two, so that a damaged one costs little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig(Checked):
    """The text written at each evaluation."""

    prompt: str = ""
    """What the text goes on from; empty: a line break, or the vocabulary's first character."""
    max_new_tokens: Count = 100
    """Characters to write; 0: no samples."""
    temperature: Annotated[float, Range(minimum=0)] = 0.8
    """Divides the logits; 0: always the likeliest character."""
    top_k: Count = 0
    """Draw among the k likeliest characters only; 0: among all."""
    top_p: Annotated[float, Range(above=0, maximum=1)] = 1.0
    """Draw among the likeliest of these only, as few as have this probability together (Holtzman et
    al. 2020, arXiv:1904.09751); 1: among all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig(Checked):
    """Everything that decides a run's result."""

    seed: Count = 0
    """Seed of weights, batches, dropout and samples."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)

    @property
    def tokens_per_step(self) -> int:
        """Characters predicted in one update."""
        return self.train.batch_size * self.train.accumulation * self.model.block_size


def run_config(data: object) -> RunConfig:
    """The run that a nested mapping describes; raises ConfigError listing all its problems."""
    return schema.build(RunConfig, data)


def settled(config: RunConfig, *, gpu: bool, gpu_bf16: bool, cpu_bf16: bool) -> RunConfig:
    """The config with `auto` in train.device and train.precision replaced by what a machine offers.

    Raises ConfigError if it asks for a GPU and there is none.
    """
    train = config.train
    device = train.device if train.device != "auto" else ("cuda" if gpu else "cpu")
    refuse_absent(device, gpu=gpu)
    precision = train.precision
    if precision == "auto":
        native = gpu_bf16 if device == "cuda" else cpu_bf16
        precision = "bf16" if native else "fp32"
    train = dataclasses.replace(train, device=device, precision=precision)
    return dataclasses.replace(config, train=train)


def refuse_absent(device: str, *, gpu: bool) -> None:
    """Raise ConfigError if a run that is to be trained on a GPU finds none."""
    if device == "cuda" and not gpu:
        problem = "torch finds no GPU here; use cpu, or install torch's CUDA build"
        raise ConfigError([Problem(("train", "device"), problem)])


@functools.cache
def known_keys() -> dict[str, Any]:
    """Every dotted key of a run config, with its type."""
    return schema.leaves(RunConfig)


def as_dict(config: Any) -> dict[str, Any]:
    """The nested mapping that `run_config` reads back."""
    return dataclasses.asdict(config)


def flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """A nested run config by dotted keys."""
    pairs: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            pairs |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            pairs[name] = value
    return pairs


def with_values(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A nested run config with some dotted keys set; nothing is checked."""
    nested = {name: dict(of) if isinstance(of, Mapping) else of for name, of in data.items()}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        if section:
            nested.setdefault(section, {})[name] = value
        else:
            nested[name] = value
    return nested


def to_json(config: RunConfig | Mapping[str, Any]) -> bytes:
    """The bytes of `config.json`."""
    data = config if isinstance(config, Mapping) else as_dict(config)
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One phrase per dotted key on which two nested run configs differ: `key: old -> new`."""
    before, after = flat(old), flat(new)
    return [
        f"{key}: {before.get(key, '(none)')!r} -> {after.get(key, '(none)')!r}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
