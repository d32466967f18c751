import platform
import subprocess
import sys

import pytest
import torch

from seq2attn import devices
from seq2attn.errors import UsageError, UserError


def test_the_cpu_is_always_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.find_device("auto") == devices.find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_cuda_that_is_not_there_is_one_line_with_the_way_out(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"--device {name}: .*--device cpu"):
        devices.find_device(name)


def test_cuda_devices_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.find_device("auto") == devices.find_device("cuda") == torch.device("cuda", 0)
    assert devices.find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="there are 2 CUDA devices"):
        devices.find_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "", "cuda:1:2"])
def test_a_name_that_is_no_device_is_a_usage_error(name):
    with pytest.raises(UsageError, match="auto, cpu, cuda or cuda:N"):
        devices.find_device(name)


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bf16_where_it_is_native(monkeypatch, native, expected):
    monkeypatch.setattr(devices, "_cpu_multiplies_bf16", lambda: native)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    assert devices.find_format("auto", torch.device("cpu")) == expected
    assert devices.find_format("auto", torch.device("cuda", 0)) == expected
    assert devices.find_format("fp16", torch.device("cpu")) == "fp16"


def test_the_kernel_is_asked_where_torch_has_no_answer(monkeypatch):
    answer = devices._cpu_multiplies_bf16()
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert devices._cpu_multiplies_bf16() == answer


@pytest.mark.parametrize(("format", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_multiplies_in_that_format(format, expected):
    with devices.autocast(torch.device("cpu"), format):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_pages_can_be_kept_and_handed_back_anywhere(monkeypatch):
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
def test_pages_that_nobody_uses_go_back():
    """Between two tensors that are kept, so that the end of the heap is in use."""
    program = """
import torch
from seq2attn.devices import hand_back_pages, keep_pages
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
keep_pages()
kept = []
for _ in range(40):
    freed = torch.ones(1 << 20)
    kept.append(torch.ones(1 << 10))
    kept.append(freed)
kept = kept[::2]
del freed
before = resident()
hand_back_pages()
print(before - resident())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100 << 20  # of 160 MiB
