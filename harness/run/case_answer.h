/// What a worker process answers for a case, as it travels to the parent: one JSON object.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/verdict/result.h"

namespace dsv4 {

struct CaseAnswer {
  CaseResult result;
  nlohmann::json entry = nullptr;  ///< of `record`: the golden entry; null if there is none
  /// The result is not about kernels: the harness could not go on, for the reason that the result gives (a module was
  /// altered, say).
  bool cannot_go_on = false;
};

void to_json(nlohmann::json& j, const CaseAnswer& answer);
/// Throws nlohmann::json::exception, or std::bad_optional_access for an unknown verdict.
void from_json(const nlohmann::json& j, CaseAnswer& answer);

}  // namespace dsv4
