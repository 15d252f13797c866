"""Device memory before, after and at the peak of a generation (Property 16)."""

import os
from pathlib import Path

import torch

from serve_app.contracts import MemoryUsage

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def used_bytes(device: torch.device) -> int:
    """Allocated device memory; on a CPU the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def free_bytes(device: torch.device) -> int:
    """Memory that could still be taken: of the device, or of the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * _PAGE_BYTES


class MemoryMeter:
    """Memory of one request. Requests that share the device see each other's use."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = used_bytes(device)
        self._peak = self._before

    def sample(self, peak_bytes: int) -> None:
        self._peak = max(self._peak, peak_bytes)

    def usage(self) -> MemoryUsage:
        after = used_bytes(self._device)
        return MemoryUsage(
            device=str(self._device),
            before_bytes=self._before,
            after_bytes=after,
            peak_bytes=max(self._peak, after),
        )


def step_peak_bytes(device: torch.device) -> int:
    """Highest use since the last call, for `MemoryMeter.sample`."""
    if device.type != "cuda":
        return used_bytes(device)
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak
