// Every operation that has no kernel of its own in `operations.h`: it is refused where a GPU would refuse it,
// counted, and computed by the kernel of the CPU.

#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <set>

#include "aliases.h"
#include "generator.h"

namespace {

// The host waits for the result of these operations, or for its size.
const std::set<std::string> waiting_operations = {
    "aten::_local_scalar_dense", "aten::nonzero",  "aten::nonzero.out", "aten::masked_select",
    "aten::masked_select.out",   "aten::equal",    "aten::_unique2",    "aten::unique_dim",
    "aten::unique_consecutive",  "aten::bincount", "aten::is_nonzero",  "aten::repeat_interleave.Tensor",
    "aten::masked_scatter_"};
// They take indices of the CPU, and copy them to the device.
const std::set<std::string> indexing_operations = {
    "aten::index.Tensor", "aten::index.Tensor_out", "aten::_index_put_impl_", "aten::index_put_",
    "aten::_unsafe_index.Tensor"};
const char* TWO_DEVICES = "Expected all tensors to be on the same device, but found at least two devices, ";

std::string name_of(const c10::OperatorHandle& op) {
  const auto& name = op.operator_name();
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() && argument.alias_info()->isWrite();
}

// One call of an operation: its arguments are the last `size` values of the stack.
struct Call {
  const c10::OperatorHandle& op;
  torch::jit::Stack* stack;
  const c10::FunctionSchema& schema = op.schema();
  const std::string name = name_of(op);
  const size_t size = schema.arguments().size();
  const size_t first = stack->size() - size;
  const bool indexes = indexing_operations.count(name) > 0;
  const bool fused = name.rfind("aten::_fused_", 0) == 0 || name.rfind("aten::_foreach", 0) == 0;
  bool waits = waiting_operations.count(name) > 0;
  std::optional<c10::Device> device;
  std::map<c10::TensorImpl*, at::Tensor> aliases;  // by tensor of the device
  std::vector<at::Tensor> inputs;

  c10::IValue& value(size_t i) { return (*stack)[first + i]; }

  // The device of the first tensor of a device; without any, that of the argument `device`, or the current one.
  void find_device() {
    auto look = [&](const at::Tensor& tensor) {
      if (tensor.defined() && tensor.is_cuda() && !device) device = tensor.device();
    };
    for (size_t i = 0; i < size; ++i) {
      const auto& argument = value(i);
      if (argument.isTensor()) {
        look(argument.toTensor());
      } else if (argument.isTensorList()) {
        for (const at::Tensor tensor : argument.toTensorVector()) look(tensor);
      } else if (argument.isList()) {
        for (const c10::IValue& each : argument.toListRef()) {
          if (each.isTensor()) look(each.toTensor());
        }
      }
      const bool of_cpu = argument.isGenerator() && argument.toGenerator().device().is_cpu();
      TORCH_CHECK(!of_cpu, name, ": Expected a 'cuda' device type for generator but found 'cpu'");
    }
    if (device) return;
    for (size_t i = 0; i < size; ++i) {
      if (value(i).isDevice()) device = value(i).toDevice();
    }
    if (!device || !device->is_cuda() || !device->has_index()) {
      device = c10::Device(c10::kCUDA, active_device);
    }
  }

  at::Tensor cpu_argument(const at::Tensor& tensor, const c10::Argument& argument) {
    if (!tensor.defined()) return tensor;
    if (is_written(argument)) keep_content(tensor);
    if (!tensor.is_cuda()) {
      const bool is_scalar =
          tensor.dim() == 0 && !is_written(argument) && (!fused || argument.name() == "lr");
      const bool is_index = indexes && argument.name() == "indices";
      TORCH_CHECK(is_scalar || is_index, TWO_DEVICES, *device, " and ", tensor.device(), "! (argument ",
                  argument.name(), " of ", name, ")");
      if (is_index) count_wait("an index of the CPU");
      return tensor;
    }
    TORCH_CHECK(tensor.device() == *device, TWO_DEVICES, *device, " and ", tensor.device(), "! (", name, ")");
    const bool is_mask = tensor.scalar_type() == at::kBool || tensor.scalar_type() == at::kByte;
    if (indexes && argument.name() == "indices" && is_mask) waits = true;
    auto known = aliases.find(tensor.unsafeGetTensorImpl());
    if (known != aliases.end()) return known->second;
    // an output without a size gets one
    auto alias = is_written(argument) && tensor.numel() == 0
                     ? at::empty(tensor.sizes(), at::TensorOptions().dtype(tensor.dtype()))
                     : on_cpu(tensor);
    aliases[tensor.unsafeGetTensorImpl()] = alias;
    inputs.push_back(tensor);
    return alias;
  }

  void replace_arguments() {
    for (size_t i = 0; i < size; ++i) {
      auto& own = value(i);
      const auto& argument = schema.arguments()[i];
      if (own.isTensor()) {
        own = cpu_argument(own.toTensor(), argument);
      } else if (own.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor tensor : own.toTensorVector()) list.push_back(cpu_argument(tensor, argument));
        own = list;
      } else if (own.isList() && own.toList().elementType()->kind() == c10::TypeKind::OptionalType) {
        auto list = c10::List<std::optional<at::Tensor>>();
        for (const c10::IValue& each : own.toListRef()) {
          if (each.isTensor()) {
            list.push_back(cpu_argument(each.toTensor(), argument));
          } else {
            list.push_back(std::nullopt);
          }
        }
        own = list;
      } else if (own.isGenerator()) {
        own = cpu_generator(own.toGenerator());
      } else if (own.isDevice()) {
        own = c10::Device(c10::kCPU);
      } else if (own.isNone() && argument.name() == "generator") {
        own = cpu_generator(default_generator(device->index()));
      }
    }
  }

  // The arguments of a record. The numbers of the CPU among them stay as they are now.
  std::vector<c10::IValue> recorded_arguments() {
    if (!capture.load()) return {};
    for (const auto& tensor : inputs) use_memory(tensor);
    std::vector<c10::IValue> arguments(stack->begin() + first, stack->end());
    for (auto& argument : arguments) {
      const bool own = argument.isTensor() && argument.toTensor().defined() && argument.toTensor().dim() == 0;
      if (!own) continue;
      bool is_alias = false;
      for (const auto& [_, alias] : aliases) is_alias |= alias.is_same(argument.toTensor());
      if (!is_alias) argument = argument.toTensor().clone();
    }
    return arguments;
  }

  void record_for_replay(std::vector<c10::IValue> arguments, std::vector<c10::IValue> results) {
    std::vector<at::Tensor> outputs;  // undefined: the result is an argument, or a view of one
    std::set<const void*> known;
    for (const auto& [_, alias] : aliases) known.insert(alias.storage().data());
    auto output = [&](const at::Tensor& tensor) {
      const bool is_own = tensor.defined() && tensor.numel() && !known.count(tensor.storage().data());
      outputs.push_back(is_own ? tensor : at::Tensor());
    };
    for (const auto& result : results) {
      if (result.isTensor()) output(result.toTensor());
      if (result.isTensorList()) for (const at::Tensor tensor : result.toTensorVector()) output(tensor);
    }
    auto operation = op;
    record([operation, arguments, outputs, name = name] {
      at::AutoDispatchBelowAutograd below;
      c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      torch::jit::Stack own(arguments);
      operation.callBoxed(&own);
      size_t next = 0;
      auto write = [&](const at::Tensor& tensor) {
        const auto& into = outputs.at(next++);
        if (!into.defined()) return;
        TORCH_CHECK(into.sizes() == tensor.sizes(), name, ": the size of its result changed in a replay");
        into.copy_(tensor);
      };
      for (const auto& result : own) {
        if (result.isTensor()) write(result.toTensor());
        if (result.isTensorList()) for (const at::Tensor tensor : result.toTensorVector()) write(tensor);
      }
    });
  }

  void resize_outputs() {
    for (auto& tensor : inputs) {
      const auto& alias = aliases[tensor.unsafeGetTensorImpl()];
      if (alias.sizes() == tensor.sizes()) continue;
      auto grown = on_device(alias, *device, {});
      auto* impl = tensor.unsafeGetTensorImpl();
      impl->set_storage_keep_dtype(grown.storage());
      impl->set_storage_offset(grown.storage_offset());
      impl->set_sizes_and_strides(grown.sizes(), grown.strides());
    }
  }

  void replace_results(const std::vector<c10::IValue>& arguments) {
    const auto& returns = schema.returns();
    const size_t start = stack->size() - returns.size();
    for (size_t i = 0; i < returns.size(); ++i) {
      auto& result = (*stack)[start + i];
      const auto* alias = returns[i].alias_info();
      if (alias && alias->isWrite()) {  // one of the arguments
        for (size_t j = 0; j < size; ++j) {
          const auto& argument = schema.arguments()[j];
          if (is_written(argument) && *argument.alias_info() == *alias) result = arguments[j];
        }
      } else if (result.isTensor()) {
        result = on_device(result.toTensor(), *device, inputs);
      } else if (result.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor tensor : result.toTensorVector()) {
          list.push_back(on_device(tensor, *device, inputs));
        }
        result = list;
      }
    }
  }
};

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Call call{op, stack};
  call.find_device();
  std::vector<c10::IValue> arguments(stack->begin() + call.first, stack->end());
  call.replace_arguments();
  count(call.name);
  if (call.waits) count_wait(call.name);
  const auto cpu_arguments = call.recorded_arguments();
  {
    at::AutoDispatchBelowAutograd below;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    op.callBoxed(stack);
  }
  call.resize_outputs();
  const std::vector<c10::IValue> results(stack->end() - call.schema.returns().size(), stack->end());
  call.replace_results(arguments);
  if (capture.load()) call.record_for_replay(cpu_arguments, results);
}

}  // namespace
