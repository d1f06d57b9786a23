"""What the machine offers, and the process-wide torch settings a run needs."""

import os

import torch

from tinygpt.config import TrainConfig


def offer() -> dict[str, bool]:
    """What `config.settled` wants to know of this machine."""
    gpu = torch.cuda.is_available()
    return {"gpu": gpu, "gpu_bf16": gpu and torch.cuda.is_bf16_supported()}


def configure(train: TrainConfig) -> None:
    """Set torch's threads and determinism for this process; `train` must be settled."""
    torch.set_num_threads(train.threads)
    if train.device == "cuda" and train.deterministic:
        # cuBLAS is deterministic only with a workspace of fixed size, set before its first use.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def versions() -> dict[str, str]:
    """Torch's version and the instruction set that it uses: they decide the bits of a result."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu_capability": capability}


def numerics(train: TrainConfig) -> dict[str, str | int]:
    """What besides the config decides the bits of a result."""
    device = torch.cuda.get_device_name() if train.device == "cuda" else "cpu"
    return {**versions(), "device": device, "threads": train.threads}
