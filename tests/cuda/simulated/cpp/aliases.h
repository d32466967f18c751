// Tensors of the device as tensors of the CPU with the same memory, and back.

#pragma once

#include <ATen/EmptyTensor.h>

#include <vector>

#include "memory.h"

namespace {

at::Tensor on_cpu(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cuda()) return tensor;
  auto options = at::TensorOptions().dtype(tensor.dtype()).device(c10::kCPU);
  static int64_t nothing[8];
  void* data = tensor.numel() ? tensor.data_ptr() : static_cast<void*>(nothing);
  return at::from_blob(data, tensor.sizes(), tensor.strides(), [](void*) {}, options, c10::Device(c10::kCPU));
}

struct Owner {  // of the memory of a tensor of the device
  at::Tensor cpu;
  std::vector<at::Tensor> others;
  std::shared_ptr<void> user = std::make_shared<int>();
  size_t size = 0;  // bytes that are not a view's
  ~Owner() { give_bytes(size); }
};

void take_or_forget(Owner* owner, size_t size) {
  try {
    take_bytes(size);
  } catch (...) {
    delete owner;
    throw;
  }
  owner->size = size;
}

// `others` own the memory that the result may be a view of.
at::Tensor on_device(const at::Tensor& cpu, c10::Device device, const std::vector<at::Tensor>& others) {
  if (!cpu.defined() || cpu.is_cuda()) return cpu;
  auto* owner = new Owner;
  owner->cpu = cpu;
  for (const auto& other : others) {
    if (other.storage().data() == cpu.storage().data()) owner->others.push_back(other);
  }
  if (owner->others.empty()) {
    auto& storage = cpu.storage();
    take_or_forget(owner, storage.nbytes());
    own_memory(std::make_shared<at::Tensor>(cpu), owner->user, storage.mutable_data(), storage.nbytes());
  }
  size_t bytes = cpu.storage().nbytes();
  auto release = [](void* pointer) { delete static_cast<Owner*>(pointer); };
  c10::DataPtr data(cpu.storage().mutable_data(), owner, release, device);
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), bytes, std::move(data), &device_memory, true);
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CUDA), cpu.dtype());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(cpu.sizes(), cpu.strides(), cpu.storage_offset());
  return tensor;
}

}  // namespace
