/// What turns CUDA C++ into C++ for the host compiler. The build includes it ahead of everything else:
///
///     g++ -std=c++20 -x c++ -include simt/prelude.h -c kernel.cu
///
/// The genuine CUDA headers come first, in the form that they have outside of nvcc: types, constants, conversions and
/// declarations of the runtime, with all qualifiers empty. Then comes what only nvcc knows. Only after that __CUDACC__
/// is defined, which sources that are about to be included may ask for.
#pragma once

#if defined(__NVCC__)
#error "simt/prelude.h is for the host compiler; nvcc needs no prelude"
#endif

#include "simt/cuda_headers.h"

// The standard headers that the kernels' own headers use, before __CUDACC__ can mean anything to them.
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
// executor.h first: what follows is written in terms of it.
#include "simt/atomics.h"
#include "simt/block.h"
#include "simt/launch.h"
#include "simt/math.h"
#include "simt/memory.h"
#include "simt/warp.h"

#if !defined(CUDA_VERSION)
#define CUDA_VERSION CUDART_VERSION
#endif

// Thread-local storage is the one segment of a module that only `__shared__` variables use: it can be found and
// filled, and every variable in it has one copy, as a block's threads all run on one OS thread. "used" keeps the
// compiler from believing that a variable which the kernel never writes is zero.
#undef __shared__
#define __shared__ __attribute__((used)) thread_local

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __constant__
#define __constant__
#undef __managed__
#define __managed__

#define __builtin_assume(condition) ((condition) ? void() : __builtin_unreachable())

#define __CUDACC__ 1
#define DSV4_SIMT 1
