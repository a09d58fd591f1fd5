"""The rules by which the parity goldens were filled: weights and inputs that any implementation can make for itself.

Every tensor has its own random stream, seeded with the CRC of its name in the published implementation, so that equal names and
shapes mean equal weights. Where the goldens come from and what they hold is written in ../../../shared/parity/README.md.
"""

import hashlib
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "parity"
EMBEDDING = re.compile(r".*(_token|_tokens|_embed|\.point_embeddings\.\d+)\.weight")


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 weights of a floating-point tensor with this canonical name."""
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    kind = name.rsplit(".", 1)[-1]
    if kind == "positional_encoding_gaussian_matrix" or EMBEDDING.fullmatch(name):
        values = noise
    elif kind == "pos_embed":
        values = 0.3 * noise
    elif kind == "running_mean":
        values = 0.1 * noise
    elif kind == "running_var":
        values = 1 + 0.1 * np.abs(noise)
    elif kind == "bias":
        values = 0.05 * noise
    elif len(shape) == 1:
        values = 1 + 0.1 * noise
    else:
        values = noise * np.sqrt(2 / ((shape[0] + shape[1]) * math.prod(shape[2:])))
    return values.astype(np.float32)


def fill(module: nn.Module, rename: Callable[[str], str]) -> str:
    """Fill a module in place; `rename` gives the canonical name of each key. Returns the digest of all weights."""
    digests = {}
    for key, tensor in module.state_dict().items():
        name = rename(key)
        values = weights(name, tuple(tensor.shape)) if tensor.is_floating_point() else np.zeros(tensor.shape, np.int64)
        tensor.copy_(torch.from_numpy(values))
        digests[name] = hashlib.sha256(values.tobytes()).digest()
    return hashlib.sha256(b"".join(name.encode() + digests[name] for name in sorted(digests))).hexdigest()


def image(size: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    """float32 (B, 3, size, size), uniform in [0, 1)."""
    values = np.random.Generator(np.random.PCG64(seed)).random((batch, 3, size, size))
    return torch.from_numpy(values.astype(np.float32))


def mask(size: int, batch: int = 1, seed: int = 2, ellipses: int = 12) -> torch.Tensor:
    """float32 (B, 1, size, size) in {0, 1}: a union of ellipses along the axes, decided in integers."""
    generator = np.random.Generator(np.random.PCG64(seed))
    rows, columns = np.ogrid[:size, :size]
    drawn = np.zeros((batch, 1, size, size), np.float32)
    for sample in drawn:
        for _ in range(ellipses):
            row, column = generator.integers(0, size, 2).tolist()
            tall, wide = generator.integers(max(2, size // 32), max(3, size // 6), 2).tolist()
            inside = ((rows - row) * wide) ** 2 + ((columns - column) * tall) ** 2 <= (tall * wide) ** 2
            sample[0][inside] = 1
    return torch.from_numpy(drawn)


def sha256(tensor: torch.Tensor) -> str:
    """Digest of a tensor's bytes."""
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


class Golden:
    """Stored tensors of one run of the published implementation, each as every stride-th value of its flattened self."""

    def __init__(self, path: Path) -> None:
        """Read an npz file."""
        with np.load(path) as stored:
            self.values = {key: stored[key] for key in stored.files}

    def keys(self) -> list[str]:
        """Names of the stored tensors."""
        return [key.removesuffix("__stride") for key in self.values if key.endswith("__stride")]

    def error(self, key: str, tensor: torch.Tensor) -> float:
        """Largest absolute difference of a tensor to the stored one, which it must equal in number of values."""
        assert tensor.numel() == math.prod(self.values[f"{key}__shape"]), (key, tuple(tensor.shape), self.values[f"{key}__shape"])
        sample = tensor.detach().reshape(-1)[:: int(self.values[f"{key}__stride"])].double().numpy()
        return float(np.abs(sample - self.values[key]).max())

    def mean_error(self, key: str, tensor: torch.Tensor) -> float:
        """Difference of the mean over ALL values of a tensor to the stored mean, which also sees what the stride skips."""
        return abs(tensor.detach().double().mean().item() - float(self.values[f"{key}__stats"][0]))
