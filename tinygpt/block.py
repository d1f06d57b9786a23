"""One transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

B batch, T time, C d_model, H heads, D d_head. The pre-norm arrangement is GPT-2's (Radford et al.
2019); attention is Vaswani et al. 2017 (arXiv:1706.03762).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.config import ModelConfig


class KVCache:
    """The keys and values (B, H, T, D) of the positions already seen, layer by layer."""

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


class Attention(nn.Module):
    """Causal multi-head self-attention; on a CPU in fp32 whatever the matrix products use."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.n_heads, self.d_head, self.layer = config.n_heads, config.d_head, layer
        self.dropout, self.qk_norm = config.dropout, config.qk_norm
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.out = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_heads, self.d_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D)
        if self.qk_norm:
            q, k = F.rms_norm(q, (self.d_head,)), F.rms_norm(k, (self.d_head,))
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        y = self._attend(q, k, v)
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, T, C))
        return out

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # A bf16 backward of this kernel is five times slower than the fp32 one on a CPU.
        with torch.autocast(q.device.type, enabled=False):
            if q.device.type == "cpu":
                q, k, v = q.float(), k.float(), v.float()
            return F.scaled_dot_product_attention(
                q,
                k,
                v,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=q.shape[2] > 1,
            )


class MLP(nn.Module):
    """Two linear layers with a nonlinearity between them, four times as wide inside."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.d_model, 4 * config.d_model, bias=config.bias)
        self.down = nn.Linear(4 * config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream (B, T, C)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.d_model, bias=config.bias)
        self.attention = Attention(config, layer)
        self.norm2 = nn.LayerNorm(config.d_model, bias=config.bias)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), cache))
        x = x + self.dropout(self.mlp(self.norm2(x)))
        return x
