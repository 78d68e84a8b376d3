// Converts golden entries to JSON and back.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/golden/columns.h"
#include "harness/golden/entry.h"

namespace dsv4 {
namespace {

nlohmann::json number(double x) {
  if (std::isfinite(x)) return x;
  return fmt::format("{}", x);  // "nan", "inf", "-inf"
}

double number_from(const nlohmann::json& j) {
  return j.is_string() ? std::stod(j.get_ref<const std::string&>()) : j.get<double>();
}

nlohmann::json json_of(const GoldenOutput& o) {
  const Statistics& s = o.statistics;
  return {{"name", o.name},           {"dtype", name_of(o.dtype)},
          {"shape", o.shape},         {"digest", hex(o.digest)},
          {"blocks", o.blocks},       {"kept", hex(o.kept)},
          {"min", number(s.min)},     {"max", number(s.max)},
          {"sum", number(s.sum)},     {"nan", s.nan},
          {"infinite", s.infinite},   {"zero", s.zero},
          {"tolerance", o.tolerance}, {"tightness", number(o.tightness)},
          {"certified", o.certified}};
}

GoldenOutput output_from(const nlohmann::json& j) {
  GoldenOutput o;
  o.name = j.at("name").get<std::string>();
  const auto dtype = dtype_from_name(j.at("dtype").get<std::string>());
  if (!dtype) throw Error(fmt::format("output '{}': unknown dtype {}", o.name, j.at("dtype").dump()));
  o.dtype = *dtype;
  o.shape = j.at("shape").get<Shape>();
  o.digest = digest_from_hex(j.at("digest").get<std::string>());
  o.blocks = j.at("blocks").get<std::vector<std::uint64_t>>();
  o.kept = bytes_from_hex(j.at("kept").get<std::string>());
  o.statistics = {number_from(j.at("min")),
                  number_from(j.at("max")),
                  number_from(j.at("sum")),
                  j.at("nan").get<std::int64_t>(),
                  j.at("infinite").get<std::int64_t>(),
                  j.at("zero").get<std::int64_t>()};
  o.tolerance = j.at("tolerance").get<std::string>();
  o.tightness = number_from(j.at("tightness"));
  o.certified = j.at("certified").get<std::int64_t>();
  return o;
}

}  // namespace

void to_json(nlohmann::json& j, const GoldenEntry& e) {
  nlohmann::json outputs = nlohmann::json::array();
  for (const GoldenOutput& o : e.outputs) outputs.push_back(json_of(o));
  j = {{"id", e.id},
       {"set", e.set},
       {"inputs", hex(e.inputs)},
       {"verdict", name_of(e.verdict)},
       {"known_fault", e.known_fault},
       {"findings", e.findings},
       {"outputs", std::move(outputs)}};
}

void from_json(const nlohmann::json& j, GoldenEntry& e) {
  e.id = j.at("id").get<std::string>();
  e.set = j.at("set").get<std::string>();
  e.inputs = digest_from_hex(j.at("inputs").get<std::string>());
  const auto verdict = verdict_from_name(j.at("verdict").get<std::string>());
  if (!verdict) throw Error(fmt::format("entry '{}': unknown verdict {}", e.id, j.at("verdict").dump()));
  e.verdict = *verdict;
  e.known_fault = j.at("known_fault").get<std::string>();
  e.findings = j.value("findings", "");
  e.outputs.clear();
  for (const auto& o : j.at("outputs")) e.outputs.push_back(output_from(o));
  check_entry(e);
}

}  // namespace dsv4
