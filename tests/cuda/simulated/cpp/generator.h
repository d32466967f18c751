// Random numbers of the device: a generator of the CPU that says that it is one of the device.

#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include <vector>

#include "counts.h"

namespace {

struct DeviceGenerator final : c10::GeneratorImpl {
  explicit DeviceGenerator(c10::DeviceIndex index)
      : c10::GeneratorImpl(c10::Device(c10::kCUDA, index), c10::DispatchKeySet(c10::DispatchKey::CUDA)),
        inner(at::detail::createCPUGenerator()) {}
  // Other numbers than the CPU's, as on a GPU.
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed ^ 0x5bd1e995u); }
  uint64_t current_seed() const override { return inner.current_seed() ^ 0x5bd1e995u; }
  uint64_t seed() override { return inner.seed(); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return inner.unsafeGetGeneratorImpl()->get_state();
  }
  DeviceGenerator* clone_impl() const override {
    auto* clone = new DeviceGenerator(device().index());
    clone->inner = inner.clone();
    return clone;
  }
  at::Generator inner;
};

const at::Generator& default_generator(c10::DeviceIndex index) {
  static std::vector<at::Generator> generators = [] {
    std::vector<at::Generator> all;
    for (int i = 0; i < device_count(); ++i) {
      all.push_back(at::make_generator<DeviceGenerator>(i));
      all.back().set_current_seed(c10::default_rng_seed_val);
    }
    return all;
  }();
  return generators.at(index < 0 ? active_device : index);
}

at::Generator cpu_generator(const at::Generator& generator) {
  return dynamic_cast<DeviceGenerator*>(generator.unsafeGetGeneratorImpl())->inner;
}

}  // namespace
