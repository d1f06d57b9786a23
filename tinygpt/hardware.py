"""What the machine offers, and the process-wide torch settings a run needs."""

import dataclasses
import os

import torch

from tinygpt.config import RunConfig, TrainConfig
from tinygpt.schema import ConfigError, Problem


def settle(config: RunConfig) -> RunConfig:
    """Replace `auto` in train.device and train.precision by what this machine has.

    Raises ConfigError if the config asks for a GPU and there is none.
    """
    train, has_gpu = config.train, torch.cuda.is_available()
    device = train.device if train.device != "auto" else ("cuda" if has_gpu else "cpu")
    if device == "cuda" and not has_gpu:
        problem = "torch finds no GPU here; use cpu, or install torch's CUDA build"
        raise ConfigError([Problem(("train", "device"), problem)])
    precision = train.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    train = dataclasses.replace(train, device=device, precision=precision)
    return dataclasses.replace(config, train=train)


def configure(train: TrainConfig) -> None:
    """Set torch's threads and determinism for this process; `train` must be settled."""
    torch.set_num_threads(train.threads)
    if train.device == "cuda" and train.deterministic:
        # cuBLAS is deterministic only with a workspace of fixed size, set before its first use.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def numerics(train: TrainConfig) -> dict[str, str | int]:
    """What besides the config decides the bits of a result."""
    device = torch.cuda.get_device_name() if train.device == "cuda" else "cpu"
    return {
        "torch": torch.__version__,
        "device": device,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": train.threads,
    }
