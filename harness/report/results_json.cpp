/// Writes and reads the results file. It holds a whole run as JSON, for merging shards and for other tools.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/report/run_report.h"
#include "harness/report/summary.h"

namespace dsv4 {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kLargestFile = std::uintmax_t{4} << 30;

json counts_of(const Tally& tally) {
  json j = json::object();
  for (std::size_t i = 0; i < tally.verdicts.size(); ++i) {
    j[std::string(name_of(static_cast<Verdict>(i)))] = tally.verdicts[i];
  }
  j["cases"] = tally.cases();
  j["bits_compared"] = tally.bits_compared;
  j["same_bits"] = tally.same_bits;
  j["changes"] = tally.changes;
  j["error_over_bound"] = tally.tightness;
  j["seconds"] = tally.seconds;
  return j;
}

json bits_of(const SetRun& run) {
  json outputs = json::array();
  for (const OutputBits& o : bits_by_output(run)) {
    outputs.push_back({{"op", o.op},
                       {"output", o.output},
                       {"cases", o.cases},
                       {"cases_with_other_bits", o.other_bits},
                       {"compared", o.bits.compared},
                       {"other", o.bits.other},
                       {"outside", o.bits.outside},
                       {"ulp", o.bits.ulp},
                       {"share", o.bits.share},
                       {"farthest", o.farthest},
                       {"error_over_bound_recorded", o.recorded},
                       {"error_over_bound", o.now},
                       {"tightest", o.tightest}});
  }
  return outputs;
}

json run_json(const SetRun& run) {
  json ops = json::object();
  for (const auto& [op, tally] : run.by_op()) ops[op] = counts_of(tally);
  json faults = json::object();
  for (const auto& [id, use] : run.known_faults()) {
    const auto kind = run.known_kinds.find(id);
    faults[id] = {
        {"cases", use.cases}, {"shown", use.shown}, {"kind", kind == run.known_kinds.end() ? "fault" : kind->second}};
  }
  return {{"set", run.set_label},
          {"against", run.against},
          {"name", run.set_name},
          {"device", run.device},
          {"provenance", run.provenance},
          {"wall_seconds", run.wall_seconds},
          {"counts", counts_of(run.total())},
          {"ops", ops},
          {"known_faults", faults},
          {"baseline", run.baseline},
          {"bits", bits_of(run)},
          {"not_covered", run.not_covered},
          {"warnings", run.warnings},
          {"edited_faults", run.edited_faults},
          {"results", run.results}};
}

/// Throws Error if `j` counts other verdicts than those of its results. A file whose results were removed or edited
/// must not pass for the whole run.
void require_counts(const json& j, const Tally& results, const std::string& whose) {
  for (std::size_t i = 0; i < results.verdicts.size(); ++i) {
    const auto verdict = std::string(name_of(static_cast<Verdict>(i)));
    const auto counted = j.at("counts").at(verdict).get<std::size_t>();
    if (counted == results.verdicts[i]) continue;
    throw Error(fmt::format("{} counts {} results with the verdict '{}', but the file holds {}; the file was edited",
                            whose, counted, verdict, results.verdicts[i]));
  }
}

SetRun run_from(const json& j) {
  SetRun run;
  run.set_label = j.at("set").get<std::string>();
  run.against = j.at("against").get<std::string>();
  run.set_name = j.at("name").get<std::string>();
  run.device = j.at("device").get<std::string>();
  run.provenance = j.at("provenance").get<std::map<std::string, std::string>>();
  run.baseline = j.at("baseline").get<std::string>();
  run.not_covered = j.at("not_covered").get<NotCovered>();
  run.warnings = j.at("warnings").get<std::vector<std::string>>();
  run.wall_seconds = j.at("wall_seconds").get<double>();
  const json faults = j.value("known_faults", json::object());
  for (const auto& fault : faults.items()) run.known_kinds[fault.key()] = fault.value().value("kind", "fault");
  run.edited_faults = j.value("edited_faults", std::map<std::string, std::string>{});
  for (const json& result : j.at("results")) {
    const auto verdict = result.at("verdict").get<std::string>();
    if (!verdict_from_name(verdict)) throw Error(fmt::format("'{}' is not a verdict", verdict));
    run.results.push_back(result.get<CaseResult>());
  }
  require_counts(j, run.total(), fmt::format("set '{}'", run.set_label));
  return run;
}

}  // namespace

void to_json(json& j, const RunReport& report) {
  json runs = json::array();
  for (const SetRun& run : report.runs) runs.push_back(run_json(run));
  json shards = json::array();
  for (const Shard& s : report.shards) shards.push_back(fmt::format("{}/{}", s.index, s.count));
  j = {{"schema", kResultsSchema},
       {"tool", {{"name", "dsv4diff"}, {"version", report.version}}},
       {"command", report.command},
       {"options", report.options},
       {"shards", shards},
       {"jobs", report.jobs},
       {"wall_seconds", report.wall_seconds},
       {"signal", report.signal},
       {"open_ended", report.open_ended},
       {"failure", report.failure},
       {"require_all", report.require_all},
       {"unfinished", report.unfinished},
       {"exit_status", report.unfinished ? json(nullptr) : json(exit_status(report))},
       {"verdict", verdict_line(report)},
       {"counts", counts_of(report.total())},
       {"runs", runs}};
}

void from_json(const json& j, RunReport& report) {
  // Compare the schema without conversion, because a conversion to int could turn another number into the expected one.
  if (j.at("schema") != json(kResultsSchema)) {
    throw Error(fmt::format("its schema is {}, but this version of dsv4diff reads schema {}", j.at("schema").dump(),
                            kResultsSchema));
  }
  report = {};
  report.command = j.at("command").get<std::string>();
  report.version = j.at("tool").at("version").get<std::string>();
  report.options = j.at("options").get<std::map<std::string, std::string>>();
  for (const json& shard : j.at("shards")) report.shards.push_back(parse_shard(shard.get<std::string>()));
  report.jobs = j.at("jobs").get<int>();
  report.wall_seconds = j.at("wall_seconds").get<double>();
  report.signal = j.at("signal").get<int>();
  report.open_ended = j.at("open_ended").get<bool>();
  report.failure = j.at("failure").get<std::string>();
  report.require_all = j.at("require_all").get<bool>();
  report.unfinished = j.at("unfinished").get<bool>();
  for (const json& run : j.at("runs")) report.runs.push_back(run_from(run));
  require_counts(j, report.total(), "the report");
}

std::string results_json(const RunReport& report) {
  // A kernel's message may contain any bytes. Bytes that are not UTF-8 become replacement characters.
  return json(report).dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

RunReport read_results(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw Error(fmt::format("{}: cannot be read: {}", shortened(path), error.message()));
  if (size > kLargestFile) throw Error(fmt::format("{}: {} bytes are too large for a results file", path, size));
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw Error(fmt::format("{}: cannot be read", path));
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded()) {
    throw Error(fmt::format("{}: is not complete JSON; it must be a file that 'dsv4diff run --json' wrote", path));
  }
  try {
    return root.get<RunReport>();
  } catch (const json::exception& e) {
    throw Error(fmt::format("{}: is not a results file of dsv4diff: {}", path, e.what()));
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", path, e.what()));
  }
}

}  // namespace dsv4
