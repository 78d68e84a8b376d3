/// The answer of a worker process for a case. It is sent to the parent as one JSON object.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

struct CaseAnswer {
  CaseResult result;
  nlohmann::json entry = nullptr;  ///< of `record`: the golden entry; null if there is none
  /// The result is not about kernels, for the reason that it gives: a set cannot be used, or dsv4diff itself is at
  /// fault.
  bool cannot_go_on = false;
};

/// The answer that `tried` gives for a case. What it throws becomes an answer as well. `out_of_memory` becomes true if
/// memory ran out: then this process is of no more use.
CaseAnswer answer_of(const std::string& id, const SideNames& names, const std::function<CaseAnswer()>& tried,
                     bool& out_of_memory);

void to_json(nlohmann::json& j, const CaseAnswer& answer);
/// Throws nlohmann::json::exception, or std::bad_optional_access for an unknown verdict.
void from_json(const nlohmann::json& j, CaseAnswer& answer);

}  // namespace dsv4
