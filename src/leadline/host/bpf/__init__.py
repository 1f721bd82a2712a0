"""BPF without libbpf: bpf(2) by ctypes, light skeletons built beforehand."""

from leadline.host.bpf.live import LiveBpf

__all__ = ["LiveBpf"]
