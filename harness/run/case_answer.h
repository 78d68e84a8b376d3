/// The answer of a worker process for a case. It is sent to the parent as one JSON object.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/verdict/result.h"

namespace dsv4 {

struct CaseAnswer {
  CaseResult result;
  nlohmann::json entry = nullptr;  ///< for `record`: the golden entry; null if there is none
  /// True if the harness could not go on, for example because a module was changed. The result gives the reason, and
  /// says nothing about kernels.
  bool cannot_go_on = false;
};

void to_json(nlohmann::json& j, const CaseAnswer& answer);
/// Throws nlohmann::json::exception, or std::bad_optional_access for an unknown verdict.
void from_json(const nlohmann::json& j, CaseAnswer& answer);

}  // namespace dsv4
