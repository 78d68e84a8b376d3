/// With this file, the host compiler accepts CUDA C++. The build includes the file before everything else:
///
///     g++ -std=c++20 -x c++ -include simt/prelude.h -c kernel.cu
/// The original CUDA headers come first, in the form that they have without nvcc. They provide types, constants,
/// conversions and declarations of the runtime, and define all qualifiers as empty. Then the prelude adds the parts of
/// the language that only nvcc knows. __CUDACC__ is defined at the end, because kernel sources may test it.
#pragma once

#if defined(__NVCC__)
#error "simt/prelude.h is only for the host compiler; compile with nvcc without it"
#endif

#include "simt/cuda_headers.h"

// The standard headers that kernels use. They are included before __CUDACC__ is defined, so that the macro cannot
// change their content.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "simt/executor.h"
// executor.h comes first, because the headers below use it.
#include "simt/atomics.h"
#include "simt/block.h"
#include "simt/launch.h"
#include "simt/math.h"
#include "simt/memory.h"
#include "simt/warp.h"

#if !defined(CUDA_VERSION)
#define CUDA_VERSION CUDART_VERSION
#endif

// `__shared__` variables are thread_local. The thread-local segment of a module contains nothing else, so the executor
// can find and fill it. All threads of a block run on one OS thread, so each of these variables has one copy. Without
// "used", the compiler could assume that a variable is zero if the kernel never writes it.
#undef __shared__
#define __shared__ __attribute__((used)) thread_local

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __cluster_dims__
#define __cluster_dims__(...)
#undef __constant__
#define __constant__
#undef __managed__
#define __managed__

#define __builtin_assume(condition) ((condition) ? void() : __builtin_unreachable())

#define __CUDACC__ 1
#define DSV4_SIMT 1
