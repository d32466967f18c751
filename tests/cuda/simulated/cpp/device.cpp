// A "cuda" device for a CPU build of torch: memory of the host behind DeviceType::CUDA, and CPU kernels behind
// the dispatch key of CUDA.
//
// With it, a program runs with `--device cuda` where there is no GPU. It fails where it would fail on a GPU for
// reasons of place: tensors of two devices in one operation, the generator of another device, numpy of a device
// tensor, a mask or an index that was made on the CPU. It counts what would be a launch of a kernel, a copy
// between host and device, and a wait of the host.
//
// It records and replays CUDA graphs. It does not check the kernels of CUDA, cuDNN or NCCL, and its streams run
// everything at once.
//
// Python loads it before torch (`install.py`), so that its hooks are the first that torch finds.

#include "counts.h"
#include "memory.h"
#include "generator.h"
#include "capture.h"
#include "hooks.h"
#include "aliases.h"
#include "fallback.h"
#include "operations.h"
#include "timer.h"
#include "python.h"
