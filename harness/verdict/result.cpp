#include "harness/verdict/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace dsv4 {
namespace {

constexpr std::array<std::string_view, 7> kNames{"passed",      "failed",  "known",     "error",
                                                 "unsupported", "skipped", "mistrusted"};

constexpr std::array<std::string_view, 4> kConfirmedNames{"not_tried", "alone", "sequence", "not_again"};

}  // namespace

std::string_view name_of(Verdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

std::optional<Verdict> verdict_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Verdict>(i);
  }
  return std::nullopt;
}

std::string describe_bits(const BitComparison& bits) {
  if (bits.other == 0) return "no bit differs";
  std::string text = fmt::format("{} of {} elements have other bits", bits.other, bits.compared);
  if (bits.outside != 0) text += fmt::format(", {} of them outside the tolerance", bits.outside);
  if (bits.outside == bits.other || bits.ulp == 0) return text;  // without a distance there is nothing more to say
  std::string far = fmt::format("{} ulp", bits.ulp);
  if (bits.share != 0) far += fmt::format(" and {:.2g} of the bound", bits.share);
  return text + (bits.outside == 0 ? ", at most " : "; the others are at most ") + far + " away";
}

bool is_difference(Verdict verdict) {
  return verdict == Verdict::kFailed || verdict == Verdict::kError || verdict == Verdict::kMistrusted;
}

std::string_view name_of(Confirmed confirmed) { return kConfirmedNames[static_cast<std::size_t>(confirmed)]; }

CaseResult CaseResult::error(const std::string& id, const SideNames& names, const std::string& reason) {
  CaseResult r;
  r.id = id;
  r.set_label = names.set_label;
  r.set_name = names.set_name;
  r.against = names.against;
  r.verdict = Verdict::kError;
  r.reason = reason;
  return r;
}

double CaseResult::tightness() const {
  double t = 0;
  for (const OutputReport& o : outputs) t = std::max(t, o.tightness);
  return t;
}

std::optional<bool> CaseResult::same_bits() const {
  std::optional<bool> same;
  for (const OutputReport& o : outputs) {
    if (o.bits) same = same.value_or(true) && o.bits->other == 0;
  }
  return same;
}

std::set<std::string> CaseResult::disagreeing() const {
  std::set<std::string> names;
  for (const OutputReport& o : outputs) {
    if (o.violations != 0) names.insert(o.name);
  }
  for (const Finding& f : findings) names.insert(f.check);
  return names;
}

void to_json(nlohmann::json& j, const OutputReport& r) {
  j = {{"name", r.name},           {"tolerance", r.tolerance},
       {"reason", r.reason},       {"compared", r.compared},
       {"different", r.different}, {"violations", r.violations},
       {"certified", r.certified}, {"tightness", json_number(r.tightness)},
       {"trivial", r.trivial}};
  if (r.excused != 0) {
    j["excused"] = r.excused;
    j["excused_by"] = r.excused_by;
  }
  if (r.first) j["first"] = *r.first;
  if (r.worst) j["worst"] = *r.worst;
  if (r.places) j["places"] = *r.places;
  if (r.bits) {
    j["bits"] = {{"compared", r.bits->compared},
                 {"other", r.bits->other},
                 {"outside", r.bits->outside},
                 {"ulp", r.bits->ulp},
                 {"share", json_number(r.bits->share)}};
  }
  if (r.recorded_tightness) j["recorded_tightness"] = json_number(*r.recorded_tightness);
  if (r.errors) j["errors"] = *r.errors;
  if (r.paired) j["paired"] = *r.paired;
}

void from_json(const nlohmann::json& j, OutputReport& r) {
  r.name = j.at("name").get<std::string>();
  r.tolerance = j.at("tolerance").get<std::string>();
  r.reason = j.at("reason").get<std::string>();
  r.compared = j.at("compared").get<std::int64_t>();
  r.different = j.at("different").get<std::int64_t>();
  r.violations = j.at("violations").get<std::int64_t>();
  r.certified = j.at("certified").get<std::int64_t>();
  r.excused = j.value("excused", std::int64_t{0});
  r.excused_by = j.value("excused_by", std::string());
  r.tightness = number_from_json(j.at("tightness"));
  r.trivial = j.at("trivial").get<bool>();
  r.first.reset();
  r.worst.reset();
  if (j.contains("first")) r.first = j.at("first").get<ElementDifference>();
  if (j.contains("worst")) r.worst = j.at("worst").get<ElementDifference>();
  r.places.reset();
  if (j.contains("places")) r.places = j.at("places").get<DifferencePlaces>();
  r.bits.reset();
  if (j.contains("bits")) {
    const nlohmann::json& b = j.at("bits");
    r.bits = {b.at("compared").get<std::int64_t>(), b.at("other").get<std::int64_t>(),
              b.at("outside").get<std::int64_t>(), b.at("ulp").get<std::int64_t>(), number_from_json(b.at("share"))};
  }
  r.recorded_tightness.reset();
  r.errors.reset();
  r.paired.reset();
  if (j.contains("errors")) r.errors = j.at("errors").get<ErrorStatistics>();
  if (j.contains("paired")) r.paired = j.at("paired").get<PairedErrors>();
  if (j.contains("recorded_tightness")) r.recorded_tightness = number_from_json(j.at("recorded_tightness"));
}

void to_json(nlohmann::json& j, const CaseResult& r) {
  nlohmann::json findings = nlohmann::json::array();
  for (const Finding& f : r.findings) findings.push_back({{"check", f.check}, {"detail", f.detail}});
  j = {{"id", r.id},           {"op", r.op()},
       {"set", r.set_label},   {"set_name", r.set_name},
       {"against", r.against}, {"verdict", name_of(r.verdict)},
       {"reason", r.reason},   {"known_fault", r.known_fault},
       {"outputs", r.outputs}, {"findings", findings},
       {"cause", r.cause},     {"change", r.change},
       {"seconds", r.seconds}, {"reproduce", r.reproduce},
       {"note", r.note},       {"confirmed", name_of(r.confirmed)}};
  if (!r.told.empty()) j["told"] = r.told;
  if (!r.not_excused.empty()) j["not_excused"] = r.not_excused;
}

void from_json(const nlohmann::json& j, CaseResult& r) {
  r.id = j.at("id").get<std::string>();
  r.set_label = j.at("set").get<std::string>();
  r.set_name = j.value("set_name", r.set_label);  // files of earlier versions have only the label
  r.against = j.at("against").get<std::string>();
  r.verdict = verdict_from_name(j.at("verdict").get<std::string>()).value();
  r.reason = j.at("reason").get<std::string>();
  r.known_fault = j.at("known_fault").get<std::string>();
  r.not_excused = j.value("not_excused", std::string());
  r.outputs = j.at("outputs").get<std::vector<OutputReport>>();
  r.findings.clear();
  for (const auto& f : j.at("findings"))
    r.findings.push_back({f.at("check").get<std::string>(), f.at("detail").get<std::string>()});
  r.told = j.value("told", std::vector<std::string>());
  r.cause = j.at("cause").get<std::string>();
  r.change = j.at("change").get<std::string>();
  r.seconds = j.at("seconds").get<double>();
  r.reproduce = j.at("reproduce").get<std::string>();
  // Files of earlier versions do not have these fields.
  r.note = j.value("note", "");
  const auto confirmed = std::ranges::find(kConfirmedNames, j.value("confirmed", "not_tried"));
  r.confirmed = confirmed == kConfirmedNames.end() ? Confirmed::kNotTried
                                                   : static_cast<Confirmed>(confirmed - kConfirmedNames.begin());
}

}  // namespace dsv4
