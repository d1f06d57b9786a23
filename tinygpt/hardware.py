"""What the machine offers, and the process-wide torch settings a run needs."""

import os
import platform
from pathlib import Path

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


KERNELS = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
)
"""Environment variables by which torch's libraries choose other kernels, and so other bits."""


def versions() -> dict[str, str]:
    """Torch's version, the processor and what chooses its instructions: they decide the bits of a
    result."""
    chosen = [f"{name}={os.environ[name]}" for name in KERNELS if name in os.environ]
    return {
        "torch": torch.__version__,
        "cpu": processor(),
        "cpu_capability": " ".join([torch.backends.cpu.get_cpu_capability(), *chosen]),
    }


def processor() -> str:
    """The processor's model, as far as the system names it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def numerics(train: TrainConfig) -> dict[str, str | int]:
    """What besides the config decides the bits of a result."""
    device = torch.cuda.get_device_name() if train.device == "cuda" else "cpu"
    return {**versions(), "device": device, "threads": train.threads}
