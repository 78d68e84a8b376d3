/// One element that is told in a result, and how numbers that JSON does not have are written.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "harness/core/tensor.h"

namespace dsv4 {

/// One element that differs.
struct ElementDifference {
  Shape at;
  std::string got;  ///< value and bits
  std::string want;
  double error = 0;  ///< |got - want|; NaN if no distance is defined
  double bound = 0;  ///< allowed error; 0 if the comparison is exact
  bool operator==(const ElementDifference&) const = default;
};

void to_json(nlohmann::json& j, const ElementDifference& d);
void from_json(const nlohmann::json& j, ElementDifference& d);

/// JSON has no infinities or NaN, so they are written as the words "inf", "-inf" and "nan".
nlohmann::json json_number(double x);
double number_from_json(const nlohmann::json& j);

}  // namespace dsv4
