// The operations of the device that are no computation: new tensors, views, and copies.

#pragma once

#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include "fallback.h"
#include "hooks.h"

namespace {

// Makes a device current for the time of one allocation.
struct Current {
  c10::DeviceIndex before = active_device;
  explicit Current(std::optional<at::Device> device) {
    if (!device || !device->has_index()) return;
    TORCH_CHECK(device->index() < device_count(), "CUDA error: invalid device ordinal");
    active_device = device->index();
  }
  ~Current() { active_device = before; }
};

using Type = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Place = std::optional<at::Device>;
using Flag = std::optional<bool>;
using Format = std::optional<at::MemoryFormat>;
constexpr auto KEYS = c10::DispatchKey::CUDA;

at::Tensor empty(at::IntArrayRef size, Type dtype, Layout, Place device, Flag pin, Format format) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
  Current current(device);
  return at::detail::empty_generic(
      size, &device_memory, c10::DispatchKeySet(KEYS), at::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(
    at::IntArrayRef size, at::IntArrayRef stride, Type dtype, Layout, Place device, Flag pin) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
  Current current(device);
  return at::detail::empty_strided_generic(
      size, stride, &device_memory, c10::DispatchKeySet(KEYS), at::dtype_or_default(dtype));
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef size, Format) {
  auto strides = c10::contiguous_strides(size);
  size_t bytes = at::detail::computeStorageNbytes(size, strides, self.itemsize(), self.storage_offset());
  auto* impl = self.unsafeGetTensorImpl();
  if (bytes > self.storage().nbytes()) {
    auto data = device_memory.allocate(bytes);
    if (self.storage().nbytes()) {
      std::memcpy(data.get(), self.storage().data(), self.storage().nbytes());
    }
    impl->unsafe_storage().unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(data));
    impl->unsafe_storage().unsafeGetStorageImpl()->set_nbytes(bytes);
  }
  impl->set_sizes_and_strides(size, strides);
  return self;
}

at::Tensor& set_(
    at::Tensor& self, at::Storage source, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset);
  if (stride.data() == nullptr || stride.empty()) {
    impl->set_sizes_contiguous(size);
  } else {
    impl->set_sizes_and_strides(size, stride);
  }
  return self;
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  const auto& hooks = at::detail::getCUDAHooks();
  if (self.is_cuda() && source.is_cuda()) {
    count("aten::copy_");
  } else if (self.is_cuda()) {
    const bool is_free = hooks.isPinnedPtr(source.storage().data()) && non_blocking;
    count(is_free ? "copy:host to device, pinned" : "copy:host to device");
    if (!is_free) count_wait("a pageable or blocking copy to the device");
  } else {
    count("copy:device to host");
    const bool is_free = hooks.isPinnedPtr(self.storage().data()) && non_blocking;
    if (!is_free) count_wait("a copy to the host");
  }
  at::AutoDispatchBelowAutograd below;
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const auto into = on_cpu(self), from = on_cpu(source);
  keep_content(self);
  into.copy_(from);
  if (capture.load()) {
    use_memory(self);
    use_memory(source);
    record([into, from] {
      at::AutoDispatchBelowAutograd below;
      into.copy_(from);
    });
  }
  return self;
}

at::Tensor as_strided(
    const at::Tensor& self, at::IntArrayRef size, at::IntArrayRef stride, std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, size, stride, offset);
}
at::Tensor view(const at::Tensor& self, at::IntArrayRef size) { return at::native::view(self, size); }
at::Tensor reshape_alias(const at::Tensor& self, at::IntArrayRef size, at::IntArrayRef stride) {
  return at::native::_reshape_alias(self, size, stride);
}
at::Tensor unfold(const at::Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  return at::native::unfold(self, dimension, size, step);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  // one kernel on a GPU, several operations where torch composes them of others
  for (const char* name :
       {"_foreach_norm.Scalar", "_foreach_add_.Scalar", "_foreach_add_.List", "_foreach_sub_.List",
        "_foreach_mul_.Tensor", "_foreach_mul_.Scalar", "_foreach_lerp_.Scalar", "_foreach_copy_",
        "_foreach_zero_", "native_layer_norm"}) {
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&fallback>());
  }
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("resize_", TORCH_FN(resize_));
  m.impl("set_.source_Storage_storage_offset", TORCH_FN(set_));
  m.impl("copy_", TORCH_FN(copy_));
  m.impl("as_strided", TORCH_FN(as_strided));
  m.impl("view", TORCH_FN(view));
  m.impl("_reshape_alias", TORCH_FN(reshape_alias));
  m.impl("unfold", TORCH_FN(unfold));
}
