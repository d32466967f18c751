// How often each operation, each copy and each wait has happened.

#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {

std::mutex lock;  // of the counts and of the lists of memory
std::map<std::string, int64_t> counts;
int64_t operations = 0;  // of all time

void count(const std::string& name) {
  std::lock_guard<std::mutex> guard(lock);
  counts[name] += 1;
  operations += name.rfind("aten::", 0) == 0;
}

int device_count() {
  static const char* text = std::getenv("SIMULATED_CUDA_DEVICES");
  static const int number = text ? std::atoi(text) : 1;
  return number;
}

thread_local c10::DeviceIndex active_device = 0;

}  // namespace
