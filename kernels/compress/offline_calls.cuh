/// The arguments of the kernels that compress offline: an entry is computed from the rows of all its tokens at once.
/// The kernels at ratio 4 and at ratio 128 take the same arguments with other sizes.
#pragma once

#include <cstdint>
#include <string>

#include "interface/compress_plan.h"
#include "kernels/common/check.h"

namespace dsv4 {

/// The sizes that follow from the ratio.
struct OfflineForm {
  std::int64_t ratio;     ///< rows of a state page
  std::int64_t window;    ///< window entries of a compressed entry, and rows of the bias
  std::int64_t blocks;    ///< blocks of head_dim floats in the row of a token
  std::uintptr_t access;  ///< bytes of one access to the rows, which must be aligned to it
};

/// The tensors of a call, and their sizes.
struct OfflineTensors {
  float* state;
  const float* input;
  float* output;
  const float* ape;
  std::int64_t head_dim;
  std::int64_t pages;   ///< pages of the state
  std::int64_t tokens;  ///< rows of the input
};

struct DecodeParams : OfflineTensors {
  const layout::DecodePlan* plan;
  std::uint32_t requests;
};

struct PrefillParams : OfflineTensors {
  const layout::CompressPlan* plan_c;
  const layout::WritePlan* plan_w;
  std::uint32_t entries;
  std::uint32_t writes;
};

/// Checks the tensors. Sets `tokens` to the number of rows of kv_input, and `entries` to the number of rows
/// of kv_output.
inline OfflineTensors check_offline_tensors(ArgumentCheck& check, const OfflineForm& form, const TensorView& kv_buffer,
                                            const TensorView& kv_input, const TensorView& kv_output,
                                            const TensorView& ape, Size& tokens, Size& entries) {
  Size head_dim("head_dim"), pages("pages");
  check.tensor("ape", ape).dtype({kFloat32}).shape({form.window, head_dim}).on_cuda().contiguous().aligned(form.access);
  check.require(head_dim.value() == 128 || head_dim.value() == 512, "ape",
                "size of dimension 1 (head_dim) must be 128 or 512, got ", head_dim.value());
  const std::int64_t row = form.blocks * head_dim.value();
  check.tensor("kv_buffer", kv_buffer)
      .dtype({kFloat32})
      .shape({pages, form.ratio, row})
      .on_cuda()
      .contiguous()
      .aligned(form.access);
  check.tensor("kv_input", kv_input).dtype({kFloat32}).shape({tokens, row}).on_cuda().contiguous().aligned(form.access);
  check.tensor("kv_output", kv_output)
      .dtype({kFloat32})
      .shape({entries, head_dim})
      .on_cuda()
      .contiguous()
      .aligned(form.access);
  return {data_of<float>(kv_buffer),
          data_of<const float>(kv_input),
          data_of<float>(kv_output),
          data_of<const float>(ape),
          head_dim.value(),
          pages.value(),
          tokens.value()};
}

/// Refuses a plan whose number of rows does not fit in 31 bits.
inline std::uint32_t plan_rows(const ArgumentCheck& check, const char* name, const Size& rows) {
  check.require(rows.value() <= 0x7FFFFFFF, name, "at most 2^31 - 1 rows are supported, got ", rows.value());
  return static_cast<std::uint32_t>(rows.value());
}

/// Checks a plan of V1: TokenPlan records for a batch of `tokens` tokens, each of which has at most one record. Returns
/// the number of records.
inline std::uint32_t check_token_plan(ArgumentCheck& check, const char* name, const TensorView& plan,
                                      const Size& tokens) {
  Size rows("plan rows");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::TokenPlan));
  check.tensor(name, plan).dtype({kUint8}).shape({rows, kBytes}).on_cuda().contiguous().aligned(kBytes);
  check.require(rows.value() <= tokens.value(), name, "must have at most ", tokens.value(),
                " rows, the number of tokens of the batch, got ", rows.value());
  return plan_rows(check, name, rows);
}

inline DecodeParams check_decode(ArgumentCheck& check, const OfflineForm& form, const TensorView& kv_buffer,
                                 const TensorView& kv_input, const TensorView& kv_output, const TensorView& ape,
                                 const TensorView& plan_d) {
  Size requests("requests");
  DecodeParams params{};
  static_cast<OfflineTensors&>(params) =
      check_offline_tensors(check, form, kv_buffer, kv_input, kv_output, ape, requests, requests);
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::DecodePlan));
  check.tensor("plan_d", plan_d).dtype({kUint8}).shape({requests, kBytes}).on_cuda().contiguous().aligned(kBytes);
  params.plan = data_of<const layout::DecodePlan>(plan_d);
  params.requests = plan_rows(check, "plan_d", requests);
  return params;
}

inline PrefillParams check_prefill(ArgumentCheck& check, const OfflineForm& form, const TensorView& kv_buffer,
                                   const TensorView& kv_input, const TensorView& kv_output, const TensorView& ape,
                                   const TensorView& plan_c, const TensorView& plan_w) {
  Size tokens("tokens"), entries("entries"), writes("rows to keep");
  constexpr auto kEntryBytes = static_cast<std::int64_t>(sizeof(layout::CompressPlan));
  constexpr auto kWriteBytes = static_cast<std::int64_t>(sizeof(layout::WritePlan));
  check.tensor("plan_c", plan_c)
      .dtype({kUint8})
      .shape({entries, kEntryBytes})
      .on_cuda()
      .contiguous()
      .aligned(kEntryBytes);
  check.tensor("plan_w", plan_w)
      .dtype({kUint8})
      .shape({writes, kWriteBytes})
      .on_cuda()
      .contiguous()
      .aligned(kWriteBytes);
  PrefillParams params{};
  static_cast<OfflineTensors&>(params) =
      check_offline_tensors(check, form, kv_buffer, kv_input, kv_output, ape, tokens, entries);
  check.require(writes.value() <= tokens.value(), "plan_w", "must have at most ", tokens.value(),
                " rows, the number of tokens of the batch, got ", writes.value());
  params.plan_c = data_of<const layout::CompressPlan>(plan_c);
  params.plan_w = data_of<const layout::WritePlan>(plan_w);
  params.entries = plan_rows(check, "plan_c", entries);
  params.writes = plan_rows(check, "plan_w", writes);
  return params;
}

}  // namespace dsv4
