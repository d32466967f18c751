// CUDA graphs: what is recorded while one is captured, and how it is replayed.
//
// A record calls one operation again, with the same memory as input and as output. So a replay computes from what
// the static buffers hold then. A number that the program read into Python during the capture stays as it was, as
// on a GPU.
//
// A capture computes nothing: at its end all memory from before it is as it was, and its own is filled with NaN.
// That memory stays alive with the graph. A replay fills what no tensor of the program holds with NaN,
// and all that the graphs hold which were captured later in the same pool: on a GPU their memory may be the same.

#pragma once

#include <ATen/ATen.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>

#include "generator.h"

namespace {

// Memory that a capture allocated.
struct CapturedMemory {
  std::shared_ptr<void> memory;
  std::weak_ptr<void> user;  // expired: no tensor of the program holds the memory
  void* base;
  size_t size;
};

struct Graph {
  int64_t pool = 0, number = 0;  // graphs with a greater number were captured later
  std::vector<std::function<void()>> records;
  std::vector<CapturedMemory> memory;
  std::unordered_set<const void*> own;
  std::vector<c10::Storage> others;  // memory from before the capture
  std::unordered_set<const void*> seen;
  std::map<void*, std::string> before;  // what was in the memory of others that the capture has written
  std::vector<at::Tensor> generators;   // the states of the generators
  bool is_broken = false;
};

std::vector<std::shared_ptr<Graph>> graphs;  // all, in the order of their captures; those that are gone are null
std::atomic<Graph*> capture{nullptr};        // the graph that is captured now, in whichever thread operations run
std::thread::id capture_thread;
bool captures_all_threads = true;  // the mode "global"

void refuse_in_capture() {
  Graph* graph = capture.load();
  if (graph) graph->is_broken = true;
  TORCH_CHECK(!graph, "CUDA error: operation not permitted when stream is capturing");
}

void count_wait(const std::string& what) {
  refuse_in_capture();
  count("wait:" + what);
}

void own_memory(std::shared_ptr<void> memory, const std::shared_ptr<void>& user, void* base, size_t size) {
  Graph* graph = capture.load();
  if (!graph || !base || !size) return;
  std::lock_guard<std::mutex> guard(lock);
  graph->own.insert(base);
  graph->memory.push_back({std::move(memory), user, base, size});
}

// An input or output of a record.
void use_memory(const at::Tensor& tensor) {
  Graph* graph = capture.load();
  if (!graph || !tensor.defined() || !tensor.is_cuda() || !tensor.numel()) return;
  std::lock_guard<std::mutex> guard(lock);
  const void* base = tensor.storage().data();
  if (graph->own.count(base) || !graph->seen.insert(base).second) return;
  graph->others.push_back(tensor.storage());
}

// Before an operation writes into a tensor.
void keep_content(const at::Tensor& tensor) {
  Graph* graph = capture.load();
  if (!graph || !tensor.defined() || !tensor.is_cuda() || !tensor.numel()) return;
  std::lock_guard<std::mutex> guard(lock);
  void* base = tensor.storage().mutable_data();
  if (graph->own.count(base) || graph->before.count(base)) return;
  graph->before[base] = std::string(static_cast<const char*>(base), tensor.storage().nbytes());
}

void record(std::function<void()> act) {
  std::lock_guard<std::mutex> guard(lock);
  capture.load()->records.push_back(std::move(act));
}

void begin_capture(int64_t pool, bool all_threads) {
  TORCH_CHECK(!capture.load(), "CUDA error: a graph is being captured already");
  auto graph = std::make_shared<Graph>();
  graph->pool = pool;
  graph->number = graphs.size();
  for (int i = 0; i < device_count(); ++i) graph->generators.push_back(default_generator(i).get_state().clone());
  graphs.push_back(graph);
  capture_thread = std::this_thread::get_id();
  captures_all_threads = all_threads;
  capture = graph.get();
}

int64_t end_capture() {
  Graph* graph = capture.exchange(nullptr);
  TORCH_CHECK(graph, "CUDA error: no graph is being captured");
  for (const auto& [base, content] : graph->before) std::memcpy(base, content.data(), content.size());
  for (const auto& part : graph->memory) std::memset(part.base, 0xff, part.size);
  for (int i = 0; i < device_count(); ++i) {
    at::Generator generator = default_generator(i);
    generator.set_state(graph->generators[i]);
  }
  graph->before.clear();
  TORCH_CHECK(!graph->is_broken, "CUDA error: operation failed due to a previous error during capture");
  return graph->number;
}

void replay_graph(int64_t number) {
  refuse_in_capture();
  auto graph = graphs.at(number);
  for (const auto& storage : graph->others) {
    TORCH_CHECK(storage.use_count() > 1, "simulated device: a graph reads memory that its program has freed");
  }
  count("graph:replay");
  for (const auto& act : graph->records) act();
  for (const auto& other : graphs) {
    if (!other || other->pool != graph->pool) continue;
    for (const auto& part : other->memory) {
      if (part.user.expired() || other->number > number) std::memset(part.base, 0xff, part.size);
    }
  }
}

void forget_graph(int64_t number) { graphs.at(number) = nullptr; }

}  // namespace
