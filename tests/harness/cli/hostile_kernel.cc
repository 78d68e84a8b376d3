/// A faulty kernel of mask_topk_ids, which hostile_set_test.py builds. It misbehaves if the number of rows is one of
/// those in misbehave(). For every other number of rows it is right.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <vector>

#include "interface/entry.h"

namespace {

using tvm::ffi::TensorView;

/// True in the first call for which the file $HOSTILE_MARK does not exist. Makes the file.
bool first_time() {
  const char* mark = std::getenv("HOSTILE_MARK");
  if (mark == nullptr || ::access(mark, F_OK) == 0) return false;
  ::close(::creat(mark, 0600));
  return true;
}

void misbehave(std::int64_t rows, std::int32_t* ids) {
  switch (rows) {
    case 101:
      std::fputs("last words\n", stderr);
      *static_cast<volatile int*>(nullptr) = 1;
      break;
    case 102:
      std::abort();
    case 103:
      for (volatile int i = 0;; i = i + 1) {
      }
    case 104:
      std::exit(0);
    case 105:
      throw std::runtime_error("thrown by the kernel");
    case 106: {
      static char* block = nullptr;
      block = static_cast<char*>(std::malloc(100));
      volatile std::size_t beyond = 4000;
      std::memset(block, 0x5a, beyond);
      break;
    }
    case 107: {
      std::vector<std::vector<char>> all;
      for (;;) all.emplace_back(std::size_t{16} << 20, 'x');
    }
    case 108:
      ids[0] ^= 1;  // a wrong id in the result
      break;
    case 109:
      std::puts("{\"case\": \"x\", \"result\": {}}\nnoise on standard output");
      std::fflush(stdout);
      break;
    case 110:
      std::raise(SIGKILL);
      break;
    case 111: {  // uses 0.7 s of CPU time
      const std::clock_t start = std::clock();
      while (static_cast<double>(std::clock() - start) < 0.7 * CLOCKS_PER_SEC) {
      }
      break;
    }
    case 112:
      if (first_time()) std::raise(SIGKILL);
      break;
    case 240:
      if (first_time()) ids[0] ^= 1;
      break;
    default:
      break;
  }
  // State between calls: the number of rows of the first call is frozen, and the kernel breaks from the 11th call on.
  static const std::int64_t first_rows = rows;
  static int calls = 0;
  ++calls;
  if (rows >= 200 && rows < 220 && first_rows != rows) ids[0] ^= 1;
  if (rows >= 220 && rows < 240 && calls > 10) ids[0] ^= 1;
}

void run(TensorView topk_ids, TensorView count) {
  const std::int64_t rows = topk_ids.size(0);
  auto* ids = static_cast<std::int32_t*>(topk_ids.data_ptr());
  const auto first = static_cast<std::uint32_t>(count.dtype().bits == 64 ? *static_cast<std::int64_t*>(count.data_ptr())
                                                                         : *static_cast<std::int32_t*>(count.data_ptr()));
  for (std::int64_t row = first; row < rows; ++row) {
    for (std::int64_t j = 0; j < topk_ids.size(1); ++j) ids[row * topk_ids.stride(0) + j] = -1;
  }
  misbehave(rows, ids);
}

DSV4_ENTRY(run, run, "mask_topk_ids", "mask_topk_ids/1", "");

}  // namespace
