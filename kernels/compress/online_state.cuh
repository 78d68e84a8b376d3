/// The tensors of online compression at ratio 128, and their checks (interface/compress_plan.h).
///
/// The row of a token has two blocks of head_dim floats: kv and score. A slot of the state has three blocks: the
/// largest score of the group's tokens, the sum of their weights, and the weighted mean of their kv.
#pragma once

#include <cstdint>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr int kOnlineHeadDim = 512;
inline constexpr int kOnlinePlaces = 128;  ///< tokens of a group
inline constexpr int kOnlineColumns = 4;   ///< columns of a thread: one 16-byte access
inline constexpr int kOnlineRow = 2 * kOnlineHeadDim;
inline constexpr int kOnlineSlot = 3 * kOnlineHeadDim;

using OnlineColumns = Pack<float, kOnlineColumns, true>;

struct OnlineTensors {
  float* state;
  const float* input;
  float* output;
  const float* ape;
  std::int64_t slots;
  std::int64_t tokens;

  DSV4_DEVICE bool has_slot(std::int32_t slot) const { return slot >= 0 && slot < slots; }
  /// The block of a slot: 0 for the largest score, 1 for the sum, 2 for the mean.
  DSV4_DEVICE float* block(std::int32_t slot, int number) const {
    return state + static_cast<std::int64_t>(slot) * kOnlineSlot + number * kOnlineHeadDim;
  }
  DSV4_DEVICE const float* row(std::int64_t token) const { return input + token * kOnlineRow; }
};

/// Checks the tensors. Sets `tokens` to the number of rows of kv_input, and `entries` to the number of rows
/// of kv_output.
inline OnlineTensors check_online_tensors(ArgumentCheck& check, const TensorView& kv_buffer, const TensorView& kv_input,
                                          const TensorView& kv_output, const TensorView& ape, Size& tokens,
                                          Size& entries) {
  Size slots("slots");
  constexpr std::uintptr_t kAccess = kOnlineColumns * sizeof(float);
  const auto checked = [&](const char* name, const TensorView& tensor, std::initializer_list<Dim> shape) {
    check.tensor(name, tensor).dtype({kFloat32}).shape(shape).on_cuda().contiguous().aligned(kAccess);
  };
  checked("ape", ape, {kOnlinePlaces, kOnlineHeadDim});
  checked("kv_buffer", kv_buffer, {slots, 1, kOnlineSlot});
  checked("kv_input", kv_input, {tokens, kOnlineRow});
  checked("kv_output", kv_output, {entries, kOnlineHeadDim});
  return {data_of<float>(kv_buffer),
          data_of<const float>(kv_input),
          data_of<float>(kv_output),
          data_of<const float>(ape),
          slots.value(),
          tokens.value()};
}

}  // namespace dsv4
