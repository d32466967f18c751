import os
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


@pytest.mark.parametrize(("override", "allowed"), [(None, False), ("0", False), ("1", True)])
def test_find_device_allows_tf32_in_cudnn_only_where_the_user_does(monkeypatch, override, allowed):
    monkeypatch.delenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", override)
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "allow_tf32", True)  # torch's default
    devices.find_device("auto")
    assert cudnn.allow_tf32 is allowed
    both = [kind.fp32_precision == "tf32" for kind in (cudnn.conv, cudnn.rnn)]
    assert both == [allowed, allowed]


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "", "cuda:1:2"])
def test_find_device_refuses_an_unknown_name(name):
    with pytest.raises(UsageError, match="auto, cpu, cuda or cuda:N") as caught:
        devices.find_device(name)
    assert caught.value.setting == "device"


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "fp32")])
def test_find_format_auto_is_bf16_where_a_cpu_has_it(monkeypatch, in_hardware, expected):
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: in_hardware)
    assert devices.find_format("auto", torch.device("cpu")) == expected
    assert devices.find_format("fp16", torch.device("cpu")) == "fp16"


def by_number(monkeypatch, *capabilities):
    """GPUs of these compute capabilities."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[device.index])


def test_find_format_auto_is_what_the_tensor_cores_of_that_gpu_compute(monkeypatch):
    """bf16 since Ampere, fp16 on Volta and Turing; an older GPU has none."""
    by_number(monkeypatch, (9, 0), (8, 0), (7, 5), (7, 0), (6, 1))
    formats = [devices.find_format("auto", torch.device("cuda", number)) for number in range(5)]
    assert formats == ["bf16", "bf16", "fp16", "fp16", "fp32"]
    assert devices.find_format("bf16", torch.device("cuda", 2)) == "bf16"


def test_emulation_tells_where_a_format_is_not_in_hardware(monkeypatch):
    by_number(monkeypatch, (8, 0), (7, 5), (6, 1))
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: False)
    monkeypatch.setattr(devices, "_cpu_has_fp16", lambda: True)
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    told = {
        (precision, device): devices.emulation(precision, torch.device(device)) is not None
        for precision in ("auto", "fp32", "bf16", "fp16")
        for device in ("cpu", "cuda:0", "cuda:1", "cuda:2")
    }
    emulated = [("bf16", "cpu"), ("bf16", "cuda:1"), ("bf16", "cuda:2"), ("fp16", "cuda:2")]
    assert [key for key, is_told in told.items() if is_told] == emulated
    assert devices.emulation("bf16", torch.device("cuda", 1)) == (
        "cuda:1 has no bf16 in hardware: with `precision` fp32 it is faster"
    )


def test_emulation_is_not_told_of_processors_that_torch_does_not_know(monkeypatch):
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: False)
    monkeypatch.setattr(devices.platform, "machine", lambda: "aarch64")
    assert devices.emulation("bf16", torch.device("cpu")) is None


def test_deterministic_is_for_a_gpu_alone(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.are_deterministic_algorithms_enabled()
    with devices.deterministic(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled() == before
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with devices.deterministic(torch.device("cuda", 0)):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # a user's own
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        with devices.deterministic(torch.device("cuda", 0)):
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert torch.are_deterministic_algorithms_enabled() == before
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


def test_deterministic_names_the_setting_where_torch_has_no_such_algorithm(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    lacks = "cumsum_cuda_kernel does not have a deterministic implementation, but you set"
    with (
        pytest.raises(
            UserError, match=r"^train\.deterministic: .*cumsum_cuda_kernel.*leave the setting out"
        ) as caught,
        devices.deterministic(torch.device("cuda", 0)),
    ):
        raise RuntimeError(lacks)
    assert caught.value.setting == "train.deterministic"
    with pytest.raises(RuntimeError, match="shape"), devices.deterministic(torch.device("cuda", 0)):
        raise RuntimeError("another shape")
    assert not torch.are_deterministic_algorithms_enabled()


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


@pytest.mark.slow
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
