/// A module that commits faults on request. With it, tests show that each check of the harness can fail, and fails for
/// the right reason.
///
/// Without a fault, it computes the same results as right.cpp, with separate loops. Its last argument names the fault
/// that it commits (faults.h). It checks its arguments as an in-tree kernel does, so that contracts hold while the
/// fault is `none`.
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <tvm/ffi/extra/c_env_api.h>

#include "interface/entry.h"
#include "tests/faulty/faults.h"

namespace {

namespace ffi = tvm::ffi;
using dsv4::testing::Fault;
using ffi::TensorView;

std::int64_t schedule_seed = 0;

template <class T>
T* data(const TensorView& t) {
  return reinterpret_cast<T*>(static_cast<char*>(t.data_ptr()) + t.byte_offset());
}

// Volatile, so that the compiler cannot optimise a deliberate crash away.
int* volatile nowhere = nullptr;
volatile int zero = 0, seven = 7;
volatile bool forever = true;
volatile std::int32_t unused = 0;

int recurse(int depth) {
  if (!forever) return 0;
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return recurse(depth + 1) + frame[0];
}

/// Overwrites the bytes after a block, where the allocator keeps its record of the next block. Frees no block.
void smash_heap() {
  static char* volatile first = static_cast<char*>(std::malloc(100));
  static char* volatile second = static_cast<char*>(std::malloc(3000));
  volatile std::size_t behind = 28;
  std::memset(first + 100, 'Z', behind);
  (void)second;
}

/// Commits the faults that end or damage the process.
void misbehave(Fault fault) {
  switch (fault) {
    case Fault::kSegfault:
      *nowhere = 1;
      break;
    case Fault::kAbort:
      std::abort();
    case Fault::kExit:
      std::exit(0);
    case Fault::kHang:
      while (forever) {
      }
      break;
    case Fault::kHeap:
      smash_heap();
      break;
    case Fault::kStack:
      zero = recurse(0);
      break;
    case Fault::kDivide:
      zero = seven / zero;
      break;
    case Fault::kEats: {
      std::vector<std::vector<char>> all;
      while (forever) all.emplace_back(std::size_t{64} << 20, 'x');
      break;
    }
    case Fault::kThrowsInt:
      throw 42;
    case Fault::kCloses:
      for (int fd = 3; fd < 256; ++fd) ::close(fd);
      while (forever) ::pause();
      break;
    default:
      break;
  }
}

void refuse(Fault fault, const char* text) {
  if (fault == Fault::kAcceptsAll) return;
  if (fault == Fault::kRefusesUnnamed) TVM_FFI_THROW(ValueError) << "invalid argument";
  TVM_FFI_THROW(ValueError) << text;
}

void copy(TensorView input, TensorView output, std::int64_t code) {
  const auto fault = static_cast<Fault>(code);
  auto* out = data<float>(output);
  if (fault == Fault::kThrowsAfterWriting) {
    *out = 1;
    TVM_FFI_THROW(ValueError) << "test_copy: argument 'output': refused too late";
  }
  if (output.dtype().bits != 32) {
    refuse(fault, "test_copy: argument 'output': expected dtype float32");
    return;
  }
  if (fault == Fault::kThrows) TVM_FFI_THROW(ValueError) << "test_copy: argument 'input': I do not like it";
  misbehave(fault);

  const std::int64_t rows = input.size(0), columns = input.size(1);
  const std::int64_t from = input.strides()[0], to = output.strides()[0];
  const auto offset = [fault](std::int64_t row, std::int64_t stride) -> std::int64_t {
    if (fault == Fault::kWraps32) return static_cast<std::uint32_t>(row * stride);
    if (fault == Fault::kWraps31) return static_cast<std::int32_t>(row * stride);
    return row * stride;
  };
  auto* in = data<float>(input);
  std::uint32_t first_before = 0, last_before = 0;
  if (rows * columns > 0) {
    std::memcpy(&first_before, out, 4);
    std::memcpy(&last_before, out + (rows - 1) * to + columns - 1, 4);
  }
  if (fault != Fault::kAllZeros) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::memcpy(out + offset(r, to), in + offset(r, from), columns * sizeof(float));
    }
  } else {
    for (std::int64_t r = 0; r < rows; ++r) std::memset(out + r * to, 0, columns * sizeof(float));
  }
  if (rows * columns == 0) return;

  float& middle = out[(rows / 2) * to + columns / 2];
  float& last = out[(rows - 1) * to + columns - 1];
  static int calls = 0;
  static int all_calls = 0;
  static const std::int64_t first_stride = from;  // of the first call in this process
  ++all_calls;
  switch (fault) {
    case Fault::kOneWrong:
      middle += 1;
      break;
    case Fault::kNan:
      middle = std::numeric_limits<float>::quiet_NaN();
      break;
    case Fault::kInfinity:
      middle = std::numeric_limits<float>::infinity();
      break;
    case Fault::kSign:
      middle = -middle;
      break;
    case Fault::kNegativeZero:
      out[0] = -0.0f;  // the input has +0 there
      break;
    case Fault::kOneUlp:
      middle = std::nextafter(middle, 1e30f);
      break;
    case Fault::kShifted:
      for (std::int64_t c = 0; c + 1 < columns; ++c) out[c] = in[c + 1];
      break;
    case Fault::kLastUnwritten:
      std::memcpy(&last, &last_before, 4);
      break;
    case Fault::kByteBefore:
      reinterpret_cast<char*>(out)[-1] = 0;
      break;
    case Fault::kByteAfter:
      reinterpret_cast<char*>(&last)[4 + (to - columns) * 4] = 0;
      break;
    case Fault::kGap:
      out[columns] = 0;
      break;
    case Fault::kInput:
      in[0] = 1;
      break;
    case Fault::kCounts:
      middle = static_cast<float>(++calls);
      break;
    case Fault::kFrozen:
      if (from != first_stride) middle += 1;
      break;
    case Fault::kEleventh:
      if (all_calls > 10) middle += 1;
      break;
    case Fault::kOnce: {
      // Fails in the first call for which the file does not exist, and never again.
      const char* mark = std::getenv("DSV4_TEST_MARK");
      if (mark == nullptr || ::access(mark, F_OK) == 0) break;
      ::close(::creat(mark, 0600));
      middle += 1;
      break;
    }
    case Fault::kReadsPastEnd: {
      // The maximum of the last element and of the first element after the input's memory.
      const float beyond = in[(rows - 1) * from + columns + (from - columns)];
      last = beyond > last ? beyond : last;
      break;
    }
    case Fault::kReadsBeyond:
      unused = reinterpret_cast<volatile std::int32_t*>(in)[(rows - 1) * from + columns];
      break;
    case Fault::kReadsBefore:
      unused = reinterpret_cast<volatile std::int32_t*>(in)[-1];
      break;
    case Fault::kReadsOutput:
      std::memcpy(out, &first_before, 4);
      break;
    case Fault::kSchedule:
      if (schedule_seed != 0) middle = std::nextafter(middle, 1e30f);
      break;
    default:
      break;
  }
}

void store(TensorView values, TensorView cache, TensorView indices, std::int64_t code) {
  const auto fault = static_cast<Fault>(code);
  auto* bytes = data<std::uint8_t>(cache);
  const auto* slots = data<std::int32_t>(indices);
  const std::int64_t n = indices.size(0);
  const std::uint8_t last_before = bytes[slots[n - 1] * 8 + 5];
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(bytes + slots[i] * 8, data<std::uint8_t>(values) + i * 6, 6);
  if (fault == Fault::kOneWrong) bytes[slots[n / 2] * 8 + 5] ^= 1;
  if (fault == Fault::kPadding) bytes[slots[n / 2] * 8 + 6] = 0;
  if (fault == Fault::kUnnamedSlot) bytes[(cache.size(0) - 1) * 8] = 0;  // test_store names every slot but the last
  if (fault == Fault::kLastUnwritten) bytes[slots[n - 1] * 8 + 5] = last_before;
}

// NOLINTBEGIN(readability-identifier-naming): TVM-FFI gives the names of the methods
/// Memory that was not allocated through the environment of the call.
struct OwnMemory {
  void AllocData(DLTensor* tensor) { tensor->data = std::calloc(1, 4096); }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

/// A tensor that uses the memory of `owner` and claims more rows than fit into it.
struct Borrowed {
  ffi::Tensor owner;
  void AllocData(DLTensor* tensor) { tensor->data = owner.data_ptr(); }
  void FreeData(DLTensor*) {}
};
// NOLINTEND(readability-identifier-naming)

ffi::Any plan(TensorView lens, std::int64_t code) {
  const auto fault = static_cast<Fault>(code);
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i < lens.size(0); ++i) {
    if (data<std::int32_t>(lens)[i] <= 0) continue;
    rows.push_back(static_cast<std::int32_t>(i));
    rows.push_back(data<std::int32_t>(lens)[i]);
  }
  const auto n = static_cast<std::int64_t>(rows.size() / 2);
  if (fault == Fault::kReturnsNothing) return nullptr;
  if (fault == Fault::kReturnsText) return ffi::String("done");

  std::int64_t shape[2] = {n, 2};
  if (fault == Fault::kWrongShape) shape[0] = n - 1;
  const DLDataType dtype{static_cast<std::uint8_t>(fault == Fault::kWrongDType ? kDLFloat : kDLInt), 32, 1};
  const ffi::ShapeView form(shape, 2);
  const DLDevice device = lens.device();
  if (fault == Fault::kForeignMemory) {
    return ffi::Tuple<ffi::Tensor, std::int64_t>(ffi::Tensor::FromNDAlloc(OwnMemory{}, form, dtype, device), n);
  }
  ffi::Tensor table = ffi::Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, form, dtype, device);
  auto* out = static_cast<std::int32_t*>(table.data_ptr());
  std::int64_t count = shape[0] * 2;
  if (fault == Fault::kOverrunsReturned) count = n * 2 + 1;
  if (fault == Fault::kLastUnwritten) --count;
  rows.push_back(0);
  std::memcpy(out, rows.data(), static_cast<std::size_t>(count) * sizeof *out);
  if (fault == Fault::kOneWrong) out[0] += 1;
  if (fault == Fault::kReadsBeyondAllocated) unused = static_cast<volatile std::int32_t*>(out)[n * 2];
  if (fault == Fault::kClaimsMore) {
    const std::int64_t more[2] = {n + 4096, 2};
    table = ffi::Tensor::FromNDAlloc(Borrowed{table}, ffi::ShapeView(more, 2), dtype, device);
  }
  return ffi::Tuple<ffi::Tensor, std::int64_t>(table, n);
}

void simt_configure(std::int64_t seed) { schedule_seed = seed; }

}  // namespace

DSV4_ENTRY(copy, copy, "test_copy", "test_copy/1", "");
DSV4_ENTRY(store, store, "test_store", "test_store/1", "");
DSV4_ENTRY(plan, plan, "test_plan", "test_plan/1", "");
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_configure, simt_configure);
