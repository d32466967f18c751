// The timer that DistributedDataParallel wants for parameters of the device. It measures nothing.

#pragma once

#include <torch/csrc/distributed/c10d/reducer_timer.hpp>

namespace c10d {

struct DeviceTimer final : Timer {
  explicit DeviceTimer(c10::Device) {}
  std::optional<int64_t> measureDifference(Event, Event) override { return std::nullopt; }
};
C10_REGISTER_TYPED_CLASS(TimerRegistry, c10::kCUDA, DeviceTimer)

}  // namespace c10d
