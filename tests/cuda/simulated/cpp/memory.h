// Memory of the device, which is the host's, and pinned memory of the host.

#pragma once

#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "capture.h"

namespace {

int64_t bytes_now = 0, bytes_peak = 0;
int64_t bytes_most = int64_t(1) << 37;  // what a device says to have: 128 GiB

struct Block {
  std::shared_ptr<void> memory;  // a graph may hold it, too
  std::shared_ptr<void> user;
  size_t size;
};

// Raises the error of too little memory where the device has no more of it.
void take_bytes(size_t size) {
  std::lock_guard<std::mutex> guard(lock);
  const int64_t wanted = bytes_now + int64_t(size);
  TORCH_CHECK_WITH(OutOfMemoryError, wanted <= bytes_most, "CUDA out of memory. Tried to allocate ", size,
                   " bytes. The simulated device has ", bytes_most);
  bytes_now = wanted;
  bytes_peak = std::max(bytes_peak, bytes_now);
}

void give_bytes(size_t size) {
  std::lock_guard<std::mutex> guard(lock);
  bytes_now -= int64_t(size);
}

void release_block(void* context) {
  auto* block = static_cast<Block*>(context);
  give_bytes(block->size);
  delete block;
}

void release_nothing(void*) {}

struct DeviceMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    c10::Device device(c10::kCUDA, active_device);
    if (size == 0) return {nullptr, nullptr, &release_nothing, device};
    take_bytes(size);
    void* base = nullptr;
    TORCH_CHECK(posix_memalign(&base, 512, size) == 0, "out of memory of the host");
    std::memset(base, 0xff, size);  // NaN: a value that is read before it is written shows
    std::shared_ptr<void> held(base, &std::free);
    auto user = std::make_shared<int>();
    own_memory(held, user, base, size);
    return {base, new Block{held, user, size}, &release_block, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
DeviceMemory device_memory;

std::set<void*> pinned;

void release_pinned(void* base) {
  {
    std::lock_guard<std::mutex> guard(lock);
    pinned.erase(base);
  }
  std::free(base);
}

struct PinnedMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    if (captures_all_threads || std::this_thread::get_id() == capture_thread) refuse_in_capture();
    void* base = nullptr;
    TORCH_CHECK(posix_memalign(&base, 64, std::max<size_t>(size, 1)) == 0, "out of memory of the host");
    {
      std::lock_guard<std::mutex> guard(lock);
      pinned.insert(base);
    }
    return {base, base, &release_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
PinnedMemory pinned_memory;

struct RegisterMemory {
  RegisterMemory() { c10::SetAllocator(c10::kCUDA, &device_memory, 200); }
} register_memory;

}  // namespace
