import platform
import subprocess
import sys

import pytest
import torch

from seq2attn import devices
from seq2attn.errors import UsageError, UserError


def test_find_device_always_finds_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.find_device("auto") == devices.find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_find_device_refuses_cuda_where_there_is_none(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"^device {name}: .*`device` cpu") as caught:
        devices.find_device(name)
    assert caught.value.setting == "device"


def test_find_device_counts_cuda_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.find_device("auto") == devices.find_device("cuda") == torch.device("cuda", 0)
    assert devices.find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="there are 2 CUDA devices"):
        devices.find_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "", "cuda:1:2"])
def test_find_device_refuses_an_unknown_name(name):
    with pytest.raises(UsageError, match="auto, cpu, cuda or cuda:N") as caught:
        devices.find_device(name)
    assert caught.value.setting == "device"


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "fp32")])
def test_find_format_auto_is_bf16_where_hardware_has_it(monkeypatch, in_hardware, expected):
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: in_hardware)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: in_hardware)
    assert devices.find_format("auto", torch.device("cpu")) == expected
    assert devices.find_format("auto", torch.device("cuda", 0)) == expected
    assert devices.find_format("fp16", torch.device("cpu")) == "fp16"


def test_find_format_reads_cpuinfo_where_torch_has_no_answer(monkeypatch):
    answer = devices._cpu_has_bf16()
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert devices._cpu_has_bf16() == answer


@pytest.mark.parametrize(("format", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_multiplies_in_the_format(format, expected):
    with devices.autocast(torch.device("cpu"), format):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_allocator_settings_do_nothing_without_glibc(monkeypatch):
    def none(_):
        raise OSError

    for change in (
        lambda: None,
        lambda: monkeypatch.setattr(devices.ctypes, "CDLL", none),
        lambda: monkeypatch.setattr(devices.sys, "platform", "darwin"),
    ):
        change()
        devices.keep_freed_memory()
        devices.trim_heap()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_trim_heap_returns_free_memory_to_the_system():
    """The free memory is between tensors in use, so that the end of the heap is in use too."""
    program = """
import torch
from seq2attn.devices import trim_heap, keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
keep_freed_memory()
tensors = []
for _ in range(40):
    freed = torch.ones(1 << 20)
    tensors.append(torch.ones(1 << 10))
    tensors.append(freed)
tensors = tensors[::2]
del freed
before = resident()
trim_heap()
print(before - resident())
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(process.stdout) > 100 << 20  # of 160 MiB
