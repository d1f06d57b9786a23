"""One transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

B batch, T time, C d_model, H heads, D d_head, S positions seen. The pre-norm arrangement is GPT-2's
(Radford et al. 2019); attention is Vaswani et al. 2017 (arXiv:1706.03762).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.config import ModelConfig
from tinygpt.size import inner_width

NORM_EPS = 1e-5


class KVCache:
    """The keys and values (B, H, S, D) of the positions already seen, layer by layer."""

    def __init__(self) -> None:
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        """How many positions are stored."""
        return self._layers[0][0].shape[2] if self._layers else 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the newest positions of a layer; return all of them."""
        if layer in self._layers:
            old_k, old_v = self._layers[layer]
            k, v = torch.cat((old_k, k), dim=2), torch.cat((old_v, v), dim=2)
        self._layers[layer] = (k, v)
        return k, v


class Context(NamedTuple):
    """What all blocks share about the positions of one pass."""

    rotation: Tensor | None = None
    """The angles by which `rotated` turns queries and keys, None where positions are learned."""
    mask: Tensor | None = None
    """Which positions (B, 1, T, S) each may look at, None: itself and all before it."""
    cache: KVCache | None = None


CAUSAL = Context()


def norm(config: ModelConfig) -> nn.Module:
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450), or RMSNorm, which neither centres nor has a
    bias (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.d_model, eps=NORM_EPS)
    return nn.LayerNorm(config.d_model, eps=NORM_EPS, bias=config.bias)


def rotation(positions: Tensor, d_head: int) -> Tensor:
    """The turns (..., T, 1, 1, D/2, 2), cosine and sine, of rotary position embedding at
    `positions` (..., T): pair i turns by 10000^(-2i/D) radians per position (Su et al. 2021,
    arXiv:2104.09864)."""
    pairs = torch.arange(0, d_head, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None, None, None] * 10_000.0 ** (-pairs / d_head)
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i + 1) of the last dimension of x (B, T, 2, H, D)."""
    pairs = x.float().view(*x.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # which has no kernels for complex numbers
        (a, b), (cos, sin) = pairs.unbind(-1), turns.unbind(-1)
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)
    else:  # a third of the time
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    return turned.flatten(-2).type_as(x)


class Attention(nn.Module):
    """Causal multi-head self-attention; on a CPU in fp32 whatever the matrix products use."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.n_heads, self.d_head, self.layer = config.n_heads, config.d_head, layer
        self.dropout, self.qk_norm = config.dropout, config.qk_norm
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.out = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, context: Context = CAUSAL) -> Tensor:
        qkv = self.qkv(x).view(*x.shape[:2], 3, self.n_heads, self.d_head)
        # On a CPU the bf16 backward of this kernel is five times slower than the fp32 one.
        dtype = torch.float32 if x.device.type == "cpu" else qkv.dtype
        with torch.autocast(x.device.type, enabled=False):
            y = self._attend(qkv.to(dtype), context)
        # One pass: in the layout that the product wants, in its format.
        heads = y.transpose(1, 2).to(qkv.dtype, memory_format=torch.contiguous_format)
        out: Tensor = self.out(heads.flatten(2))
        return out

    def _attend(self, qkv: Tensor, context: Context) -> Tensor:
        """From (B, T, 3, H, D) to (B, H, T, D)."""
        qk, v = torch.split(qkv, [2, 1], dim=2)
        if self.qk_norm:
            qk = F.rms_norm(qk, (self.d_head,))
        if context.rotation is not None:
            qk = rotated(qk, context.rotation)
        q, k, v = (part.transpose(1, 2) for part in (*qk.unbind(2), v.squeeze(2)))
        if context.cache is not None:
            k, v = context.cache.extend(self.layer, k, v)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=context.mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=context.mask is None and q.shape[2] > 1,
        )


class MLP(nn.Module):
    """Two linear layers with a nonlinearity between them, four times as wide inside.

    gelu: Hendrycks and Gimpel 2016 (arXiv:1606.08415). relu2, max(x, 0)^2: So et al. 2021
    (arXiv:2109.08668). swiglu, silu(gate) * x: Shazeer 2020 (arXiv:2002.05202).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation, inner = config.activation, inner_width(config)
        gates = 2 if config.activation == "swiglu" else 1
        self.up = nn.Linear(config.d_model, gates * inner, bias=config.bias)
        self.down = nn.Linear(inner, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(self._activate(self.up(x)))
        return out

    def _activate(self, x: Tensor) -> Tensor:
        match self.activation:
            case "gelu":
                return F.gelu(x)
            case "relu2":
                return x * F.relu(x)  # half the time of squaring, whose gradient is slow in bf16
            case "swiglu":
                gate, x = x.chunk(2, dim=-1)
                return F.silu(gate) * x


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream (B, T, C)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm1 = norm(config)
        self.attention = Attention(config, layer)
        self.norm2 = norm(config)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, context: Context = CAUSAL) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), context))
        x = x + self.dropout(self.mlp(self.norm2(x)))
        return x
