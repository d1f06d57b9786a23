"""What the machine offers, and the process-wide torch settings a run needs."""

import ctypes
import functools
import os
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from tinygpt.config import TrainConfig

GpuFullError = torch.OutOfMemoryError
"""A GPU has no memory left; others may hold it."""


def offer() -> dict[str, bool]:
    """What `config.settled` wants to know of this machine."""
    gpu = torch.cuda.is_available()
    return {
        "gpu": gpu,
        "gpu_bf16": gpu and torch.cuda.is_bf16_supported(including_emulation=False),
        # The public torch.cpu.get_capabilities is too new; whatever has AMX has this too.
        "cpu_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
    }


def configure(train: TrainConfig) -> None:
    """Set torch's threads and determinism and the C library's memory for this process; `train` must
    be settled."""
    torch.set_num_threads(train.threads)
    keep_freed_memory()
    if train.device == "cuda" and train.deterministic:
        # cuBLAS is deterministic only with a workspace of fixed size, set before its first use.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def threads() -> int:
    """How many threads torch has in this process."""
    return torch.get_num_threads()


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From malloc.h."""


def keep_freed_memory() -> None:
    """Have glibc keep what a training step frees for the next step.

    Else it returns the memory of most activations to the system, which then zeroes thousands of
    pages anew in every step: a tenth of the time of a small model.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # More than 32 MB is refused by older versions, and then the other must stay as it is too.
        if libc.mallopt(M_MMAP_THRESHOLD, 1 << 25):
            libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def peak_flops(device: str, precision: str) -> float:
    """The matrix products that torch does here in a second, in floating-point operations: the best
    of a few square ones on `device` in `precision`, with the threads that are set.

    Measured once in a process; takes a fiftieth of a second.
    """
    return _measured_peak(device, precision, threads())


@functools.cache
def _measured_peak(device: str, precision: str, threads: int) -> float:
    size = 4096 if device == "cuda" else 512
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    factor = torch.linspace(-1, 1, size * size, device=device).view(size, size).to(kind)
    product = torch.empty_like(factor)
    return float(2 * size**3 / min(_seconds_of_product(factor, product) for _ in range(6)))


def _seconds_of_product(factor: torch.Tensor, product: torch.Tensor) -> float:
    _wait(factor.device)
    began = time.perf_counter()
    torch.mm(factor, factor, out=product)
    _wait(factor.device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """Until a GPU has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def forget_peak_memory(device: str) -> None:
    """Let `peak_memory` begin anew where it can, which is on a GPU."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> int:
    """The most memory held so far, in bytes: by torch on a GPU, by this process otherwise."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


CONTEXT_BYTES = 600_000_000
"""What a process takes of a GPU's memory besides its tensors."""
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where the system says how much memory a container may take."""


def memory(device: str) -> int:
    """The memory that there is to train in, in bytes: of the GPU, else what the system lets this
    process have."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(path).read_text().strip() for path in CGROUPS if Path(path).exists()]
    return min([total, *(int(limit) for limit in limits if limit.isdecimal())])


def resident(device: str) -> int:
    """What a process without a model takes of that memory."""
    return CONTEXT_BYTES if device == "cuda" else peak_memory("cpu")


KERNELS = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
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
    return {
        **versions(),
        "device": device,
        "precision": train.precision,
        "threads": train.threads,
    }
