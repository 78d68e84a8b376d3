/// Writes what `dsv4diff drift` finds as JSON.
#include <nlohmann/json.hpp>

#include "harness/drift/drift.h"

namespace dsv4 {
namespace {

nlohmann::json test_json(const ShiftTest& t) {
  return {{"cases", t.cases},
          {"net", t.net},
          {"standard_error", t.error},
          {"degrees_of_freedom", t.degrees},
          {"p", t.p},
          {"p_adjusted", t.adjusted},
          {"detectable", t.detectable},
          {"shift", t.shifted()}};
}

nlohmann::json errors_json(const OutputErrors& e) {
  nlohmann::json ulp = nlohmann::json::array();
  for (const auto& [bucket, count] : e.ulp) ulp.push_back({bucket, count});
  nlohmann::json j{{"elements", e.elements},
                   {"same", e.same},
                   {"bounded", e.bounded},
                   {"excused", e.excused},
                   {"outside", e.outside},
                   {"ulp", ulp},
                   {"share", e.share},
                   {"mean_ulp", e.mean_ulp().up},
                   {"mean_ulp_away", e.mean_ulp().away},
                   {"mean_share", e.mean_share().up},
                   {"mean_share_away", e.mean_share().away},
                   {"rms_share", e.rms_share()},
                   {"largest_share", json_number(e.largest_share)},
                   {"largest_case", e.largest_case}};
  if (e.worst) j["worst"] = *e.worst;
  return j;
}

nlohmann::json output_json(const OutputDrift& o) {
  nlohmann::json j{{"op", o.op},
                   {"output", o.output},
                   {"conclusion", name_of(o.conclusion)},
                   {"cases", o.cases},
                   {"cases_that_differ", o.differing},
                   {"tests", {{"up", test_json(o.up)}, {"away", test_json(o.away)}}},
                   {"a", errors_json(o.a)},
                   {"b", errors_json(o.b)}};
  if (o.conclusion == OutputDrift::Conclusion::kShift) j["direction"] = o.direction();
  if (o.compared) j["compared"] = *o.compared;
  if (o.same) j["same_bits"] = *o.same;
  return j;
}

}  // namespace

nlohmann::json drift_json(const std::vector<PairDrift>& pairs) {
  nlohmann::json list = nlohmann::json::array();
  for (const PairDrift& pair : pairs) {
    nlohmann::json outputs = nlohmann::json::array();
    for (const OutputDrift& o : pair.outputs) outputs.push_back(output_json(o));
    list.push_back({{"a", pair.a},
                    {"b", pair.b},
                    {"cases", pair.cases},
                    {"outputs", outputs},
                    {"wrong_on_one_side", pair.one_sided},
                    {"wrong_alike", pair.wrong_alike},
                    {"errors", pair.errors},
                    {"known", pair.known},
                    {"not_compared",
                     {{"not_run", pair.not_run},
                      {"exact_outputs", pair.exact},
                      {"excused_elements", pair.excused},
                      {"not_paired", pair.not_paired},
                      {"cases_with_shared_seeds", pair.shared_seeds},
                      {"cases_only_in_a", pair.only_a},
                      {"cases_only_in_b", pair.only_b},
                      {"ops_lacking", pair.ops_lacking}}}});
  }
  return {{"false_alarms", kFalseAlarms}, {"least_net", kLeastNet}, {"pairs", list}};
}

}  // namespace dsv4
