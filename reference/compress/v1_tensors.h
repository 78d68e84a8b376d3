/// What the references of the V1 compressors share.
#pragma once

#include <tvm/ffi/optional.h>

#include <string>
#include <vector>

#include "interface/compress_plan.h"
#include "reference/compress/offline_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

using Extra = ::tvm::ffi::Optional<TensorView>;

/// The records of a plan for a batch of `tokens` tokens. Each record names a token of its own, so a plan has at most
/// one record for each token.
inline std::vector<layout::TokenPlan> read_token_plan(const char* op, const char* name, TensorView plan,
                                                      std::int64_t tokens) {
  std::vector<layout::TokenPlan> records = read_plan<layout::TokenPlan>(op, name, plan);
  if (static_cast<std::int64_t>(records.size()) > tokens) {
    refuse(op, name,
           "expected at most " + std::to_string(tokens) + " rows, the number of rows of 'kv_input', got " +
               std::to_string(records.size()));
  }
  return records;
}

}  // namespace dsv4::reference
