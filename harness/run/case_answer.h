/// The answer that a worker process gives for a case. The worker sends it to the parent process as one JSON object.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

struct CaseAnswer {
  CaseResult result;
  nlohmann::json entry = nullptr;  ///< for `record`: the golden entry; null if there is none
  /// True if the result says nothing about kernels. Either the command or the environment is wrong (Error), for example
  /// because a set was altered, or dsv4diff itself is wrong (InternalError). The reason of the result names the cause.
  bool cannot_go_on = false;
};

/// Returns the answer of `tried` for a case. If `tried` throws an exception, the exception becomes an answer as well.
/// If memory runs out, sets `out_of_memory` to true. Then the worker process must be replaced.
CaseAnswer answer_of(const std::string& id, const SideNames& names, const std::function<CaseAnswer()>& tried,
                     bool& out_of_memory);

void to_json(nlohmann::json& j, const CaseAnswer& answer);
/// Throws nlohmann::json::exception, or std::bad_optional_access for an unknown verdict.
void from_json(const nlohmann::json& j, CaseAnswer& answer);

}  // namespace dsv4
