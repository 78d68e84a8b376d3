#include "harness/verdict/element.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace dsv4 {

nlohmann::json json_number(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return x;
}

double number_from_json(const nlohmann::json& j) {
  if (!j.is_string()) return j.get<double>();
  const auto text = j.get<std::string>();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

void to_json(nlohmann::json& j, const ElementDifference& d) {
  j = {
      {"at", d.at}, {"got", d.got}, {"want", d.want}, {"error", json_number(d.error)}, {"bound", json_number(d.bound)}};
}

void from_json(const nlohmann::json& j, ElementDifference& d) {
  d = {j.at("at").get<Shape>(), j.at("got").get<std::string>(), j.at("want").get<std::string>(),
       number_from_json(j.at("error")), number_from_json(j.at("bound"))};
}

}  // namespace dsv4
