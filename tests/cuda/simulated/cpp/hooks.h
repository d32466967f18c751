// What torch asks of CUDA: whether there is any, which device is current, and its allocators and generators.

#pragma once

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "generator.h"
#include "memory.h"

namespace at {

struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return device_count(); }
  int getNumGPUs() const override { return device_count(); }
  void setCurrentDevice(DeviceIndex index) const override { active_device = index; }
  DeviceIndex getCurrentDevice() const override { return active_device; }
  DeviceIndex current_device() const override { return active_device; }
  DeviceIndex exchangeDevice(DeviceIndex index) const override {
    auto before = active_device;
    if (index >= 0) active_device = index;
    return before;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override { return exchangeDevice(index); }
  bool isPinnedPtr(const void* data) const override {
    std::lock_guard<std::mutex> guard(lock);
    return pinned.count(const_cast<void*>(data)) > 0;
  }
  Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  Allocator* getCUDADeviceAllocator() const override { return &device_memory; }
  const Generator& getDefaultGenerator(DeviceIndex index) const override { return default_generator(index); }
  Generator getNewGenerator(DeviceIndex index) const override {
    return make_generator<DeviceGenerator>(index < 0 ? active_device : index);
  }
  Device getDeviceFromPtr(void*) const override { return Device(kCUDA, active_device); }
  void deviceSynchronize(DeviceIndex) const override { count_wait("synchronize"); }
};

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, CUDAHooks)

}  // namespace at

namespace {

// There is one stream, in which every operation ends before the next one begins.
struct DeviceGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  c10::Device exchangeDevice(c10::Device device) const override {
    auto before = active_device;
    setDevice(device);
    return {c10::kCUDA, before};
  }
  c10::Device getDevice() const override { return {c10::kCUDA, active_device}; }
  void setDevice(c10::Device device) const override {
    if (device.index() >= 0) active_device = device.index();
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) active_device = device.index();
  }
  c10::Stream getStream(c10::Device device) const override {
    auto index = device.index() < 0 ? active_device : device.index();
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(c10::kCUDA, index));
  }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override { return getStream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return getStream(stream.device()); }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (*event == nullptr) *event = new int64_t;
    *static_cast<int64_t*>(*event) = operations;
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<int64_t*>(event);
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { count_wait("synchronize"); }
  // A host that has queued more work since does not let the device run idle.
  void synchronizeEvent(void* event) const override {
    if (event != nullptr && operations > *static_cast<int64_t*>(event)) return count("late:event");
    count_wait("synchronize");
  }
  void synchronizeDevice(const c10::DeviceIndex) const override { count_wait("synchronize"); }
};
C10_REGISTER_GUARD_IMPL(CUDA, DeviceGuard)

}  // namespace
