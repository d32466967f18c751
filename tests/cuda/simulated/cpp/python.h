// What the Python side calls: operations of torch, and functions of C.

#pragma once

#include <torch/library.h>

#include "aliases.h"
#include "generator.h"

namespace {

at::Tensor host(const at::Tensor& self) {
  auto options = at::TensorOptions().dtype(self.dtype()).device(c10::kCPU);
  auto owner = [self](void*) {};
  return at::from_blob(self.data_ptr(), self.sizes(), self.strides(), owner, options, c10::Device(c10::kCPU));
}

at::Tensor device(const at::Tensor& self, int64_t index) {
  return on_device(self.detach(), c10::Device(c10::kCUDA, index), {});
}

// New memory of so many bytes for all tensors of its storage, or none: their content is lost.
void resize_storage(const at::Tensor& self, int64_t bytes) {
  auto* storage = self.storage().unsafeGetStorageImpl();
  if (int64_t(storage->nbytes()) == bytes) return;
  storage->set_data_ptr_noswap(device_memory.allocate(bytes));
  storage->set_nbytes(bytes);
}

at::Tensor generator_state(int64_t index) { return default_generator(index).get_state(); }

void set_generator_state(const at::Tensor& state, int64_t index) {
  at::Generator generator = default_generator(index);
  generator.set_state(state);
}

}  // namespace

TORCH_LIBRARY(simulated_device, m) {
  m.def("host(Tensor self) -> Tensor");  // the same memory as a tensor of the CPU
  m.def("device(Tensor self, int index) -> Tensor");  // and of the device
  m.def("resize_storage(Tensor self, int bytes) -> ()");
  m.def("generator_state(int index) -> Tensor", TORCH_FN(generator_state));
  m.def("set_generator_state(Tensor state, int index) -> ()", TORCH_FN(set_generator_state));
}
TORCH_LIBRARY_IMPL(simulated_device, CUDA, m) {
  m.impl("host", TORCH_FN(host));
  m.impl("resize_storage", TORCH_FN(resize_storage));
}
TORCH_LIBRARY_IMPL(simulated_device, CPU, m) { m.impl("device", TORCH_FN(device)); }

extern "C" {

// The error of the last call of these, or an empty text.
thread_local std::string graph_error;
const char* simulated_graph_error() { return graph_error.c_str(); }

int64_t simulated_graph(const char* act, int64_t number, int flag, void (*callback)(int64_t)) {
  graph_error = "";
  try {
    const std::string what = act;
    if (what == "begin") begin_capture(number, flag);
    if (what == "end") return end_capture();
    if (what == "replay") replay_graph(number);
    if (what == "forget") forget_graph(number);
    if (what == "record" && capture.load()) record([callback, number] { callback(number); });
    if (what == "refuse") refuse_in_capture();
  } catch (const c10::Error& error) {
    graph_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    graph_error = error.what();
  }
  return 0;
}

int simulated_captures() { return capture.load() != nullptr; }

void simulated_reset() {
  std::lock_guard<std::mutex> guard(lock);
  counts.clear();
  bytes_peak = bytes_now;
}

int64_t simulated_bytes(int peak) {
  std::lock_guard<std::mutex> guard(lock);
  return peak ? bytes_peak : bytes_now;
}

void simulated_set_memory(int64_t bytes) {
  std::lock_guard<std::mutex> guard(lock);
  bytes_most = bytes;
}

int64_t simulated_memory() {
  std::lock_guard<std::mutex> guard(lock);
  return bytes_most;
}

void simulated_seed(int index, uint64_t seed) {
  at::Generator generator = default_generator(index);
  generator.set_current_seed(seed);
}

void simulated_set_device(int index) { active_device = index; }
int simulated_device() { return active_device; }
void simulated_count(const char* name) { count(name); }

// A line "name<TAB>count" of each, if there is room.
int64_t simulated_counts(char* into, int64_t room) {
  std::lock_guard<std::mutex> guard(lock);
  std::string text;
  for (const auto& [name, times] : counts) text += name + "\t" + std::to_string(times) + "\n";
  const int64_t size = text.size() + 1;
  if (size <= room) std::memcpy(into, text.c_str(), size);
  return size;
}

}  // extern "C"
