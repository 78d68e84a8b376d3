#include "harness/golden/entry.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {

std::int64_t GoldenOutput::numel() const {
  std::int64_t n = 1;
  for (const std::int64_t s : shape) n *= s;
  return n;
}

std::size_t GoldenOutput::bytes() const {
  return static_cast<std::size_t>(numel()) * static_cast<std::size_t>(size_of(dtype));
}

Output GoldenOutput::output() const {
  if (!full()) throw Error(fmt::format("output '{}' is not kept in full", name));
  Output out{name, HostTensor::make(dtype, shape)};
  out.value.storage = kept;
  return out;
}

double GoldenEntry::tightness() const {
  double t = 0;
  for (const GoldenOutput& o : outputs) t = std::max(t, o.tightness);
  return t;
}

std::int64_t GoldenEntry::certified() const {
  std::int64_t n = 0;
  for (const GoldenOutput& o : outputs) n += o.certified;
  return n;
}

GoldenOutput make_output(const Output& output, const OutputReport* judged) {
  const HostTensor packed = output.value.packed();
  GoldenOutput g;
  g.name = output.name;
  g.dtype = packed.dtype;
  g.shape = packed.shape;
  g.digest = digest_of(packed.storage);
  g.blocks = block_digests(packed.storage);
  g.statistics = statistics_of(packed);
  if (g.full()) {
    g.kept = packed.storage;
  } else {
    const auto size = static_cast<std::size_t>(size_of(packed.dtype));
    for (const std::int64_t at : sample_positions(packed.numel())) {
      const std::uint8_t* element = packed.element(at);
      g.kept.insert(g.kept.end(), element, element + size);
    }
  }
  if (judged != nullptr) {
    g.tolerance = judged->tolerance;
    g.tightness = judged->tightness;
    g.certified = judged->certified;
  }
  return g;
}

GoldenEntry make_entry(const Case& c, const Call& call, const Response& response, const CaseResult& result) {
  const auto refuse = [&](const std::string& why) { throw Error(fmt::format("cannot record {}: {}", c.id(), why)); };
  if (!c.scenario.empty()) refuse("the scenario " + c.scenario + " cannot have a golden; only other cases can");
  if (response.result.refusal) refuse("the set refused the call: " + *response.result.refusal);
  if (result.verdict == Verdict::kError || result.verdict == Verdict::kUnsupported ||
      result.verdict == Verdict::kSkipped) {
    refuse(fmt::format("its verdict is '{}' ({}), so there are no outputs to keep", name_of(result.verdict),
                       result.reason));
  }
  GoldenEntry e;
  e.id = c.id();
  e.set = result.set_name;
  e.inputs = input_digest(call);
  e.verdict = result.verdict;
  if (e.verdict == Verdict::kKnown) e.known_fault = result.known_fault;
  if (e.verdict != Verdict::kPassed && !result.findings.empty()) {
    const Finding& first = result.findings.front();
    e.findings = one_line(fmt::format("{}: {}", first.check, first.detail));
    if (result.findings.size() > 1) e.findings += fmt::format(" (and {} more)", result.findings.size() - 1);
  }
  for (const Output& output : response.observation.outputs) {
    const auto report = std::ranges::find(result.outputs, output.name, &OutputReport::name);
    e.outputs.push_back(make_output(output, report == result.outputs.end() ? nullptr : &*report));
  }
  return e;
}

}  // namespace dsv4
