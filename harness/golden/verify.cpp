#include "harness/golden/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "harness/compare/compare.h"
#include "harness/core/error.h"
#include "harness/golden/columns.h"

namespace dsv4 {
namespace {

/// Bounds are multiplied by this factor. Two kernels are compared, and each may have its own error against
/// the reference.
constexpr double kBothSides = 2.0;

bool same_form(const GoldenOutput& golden, const HostTensor& got) {
  return golden.dtype == got.dtype && golden.shape == got.shape;
}

const GoldenOutput* find_output(const GoldenEntry& entry, const std::string& name) {
  const auto it = std::ranges::find(entry.outputs, name, &GoldenOutput::name);
  return it == entry.outputs.end() ? nullptr : &*it;
}

bool all_equal(const GoldenEntry& entry, const Observation& got) {
  return entry.outputs.size() == got.outputs.size() && std::ranges::all_of(got.outputs, [&](const Output& o) {
           const GoldenOutput* g = find_output(entry, o.name);
           return g != nullptr && same_form(*g, o.value) && g->digest == digest_of(o.value.packed().storage);
         });
}

/// Makes the report on an output that has the same bits as the recorded output. The recorded output passed when it
/// was recorded.
OutputReport equal_report(const GoldenOutput& golden) {
  OutputReport r;
  r.name = golden.name;
  r.tolerance = golden.tolerance;
  r.reason = "the same bits as recorded";
  r.compared = golden.numel();
  r.bits = BitComparison{.compared = r.compared};
  return r;
}

/// Returns a one-dimensional tensor of the elements at `positions`. An empty tensor stays empty: a tolerance has empty
/// tensors for the parts that its kind does not use.
HostTensor gather(const HostTensor& t, const std::vector<std::int64_t>& positions) {
  if (t.storage.empty()) return t;
  HostTensor out = HostTensor::make(t.dtype, {static_cast<std::int64_t>(positions.size())});
  const auto bytes = static_cast<std::size_t>(size_of(t.dtype));
  for (std::size_t i = 0; i < positions.size(); ++i)
    std::memcpy(out.storage.data() + i * bytes, t.element(positions[i]), bytes);
  return out;
}

/// True if the tensors of the tolerance have the shape of the output. With another shape, elements would be compared
/// with the tolerances of other elements.
bool tolerance_fits(const Tolerance& t, const HostTensor& got) {
  if (t.kind == Tolerance::Kind::kBound) return t.bound.shape == got.shape;
  if (t.kind == Tolerance::Kind::kInterval) return t.low.shape == got.shape && t.high.shape == got.shape;
  return true;
}

/// Returns a text such as "3 of 17 blocks differ, the first is block 4: elements 65536 to 81919, from [16, 0] to
/// [19, 4095]".
std::string block_text(const GoldenOutput& golden, const HostTensor& packed) {
  const auto now = block_digests(packed.storage);
  std::size_t differing = 0;
  std::size_t first = now.size();
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] == golden.blocks[i]) continue;
    ++differing;
    first = std::min(first, i);
  }
  if (differing == 0) return "its digest differs although no block differs, so the golden is wrong";
  const auto elements = static_cast<std::int64_t>(block_size(packed.storage.size())) / size_of(packed.dtype);
  const std::int64_t from = static_cast<std::int64_t>(first) * elements;
  const std::int64_t to = std::min(from + elements, packed.numel()) - 1;
  return fmt::format("{} of {} blocks differ, the first is block {}: elements {} to {}, from {} to {}", differing,
                     now.size(), first, from, to, format_shape(packed.coordinates(from)),
                     format_shape(packed.coordinates(to)));
}

/// True if each block that differs has an element that is excused. `by` is that of ExcusedElements for the whole
/// output.
bool may_be_excused(const GoldenOutput& golden, const HostTensor& packed, const HostTensor& by) {
  if (by.storage.empty()) return false;
  const auto now = block_digests(packed.storage);
  const auto elements = static_cast<std::int64_t>(block_size(packed.storage.size())) / size_of(packed.dtype);
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] == golden.blocks[i]) continue;
    bool any = false;
    const std::int64_t from = static_cast<std::int64_t>(i) * elements, to = std::min(from + elements, by.numel());
    for (std::int64_t n = from; n < to && !any; ++n) any = by.get<std::int32_t>(n) != 0;
    if (!any) return false;
  }
  return true;
}

bool same_statistics(const Statistics& a, const Statistics& b) {
  const auto same = [](double x, double y) { return x == y || (x != x && y != y); };
  return same(a.min, b.min) && same(a.max, b.max) && same(a.sum, b.sum) && a.nan == b.nan && a.infinite == b.infinite &&
         a.zero == b.zero;
}

/// Compares an output with a golden that keeps only digests and a sample of it.
OutputReport compare_sampled(const GoldenOutput& golden, const HostTensor& packed, const Tolerance& tolerance,
                             const std::vector<Excuse>& excuses, bool exact) {
  const std::vector<std::int64_t> positions = sample_positions(packed.numel());
  const Output got{golden.name, gather(packed, positions)};
  Output want{golden.name, HostTensor::make(golden.dtype, got.value.shape)};
  want.value.storage = golden.kept;
  Tolerance at = tolerance;
  at.bound = gather(tolerance.bound, positions);
  at.low = gather(tolerance.low, positions);
  at.high = gather(tolerance.high, positions);
  // The golden keeps no other element, so a variant's value is looked for in this call's output.
  ExcusedElements excused = excused_elements({golden.name, packed}, {golden.name, packed}, excuses, kBothSides);
  const HostTensor excused_anywhere = excused.by;
  excused.by = gather(excused.by, positions);
  OutputReport r = compare_output(got, want, at, kBothSides, excused, exact);
  for (auto* difference : {&r.first, &r.worst}) {
    if (difference->has_value() && !(*difference)->at.empty()) {
      (*difference)->at = packed.coordinates(positions[static_cast<std::size_t>((*difference)->at[0])]);
    }
  }
  r.reason = fmt::format("{} (the golden keeps {} of {} elements)", r.reason, positions.size(), packed.numel());
  if (r.different == 0) {  // the digest differs, so at least one element outside the sample does
    r.different = 1;
    r.bits = BitComparison{.compared = packed.numel(), .other = 1};
  }
  // If a known fault explains what the sample shows, the comparison with the reference decides about the other
  // elements. It also decides if the sample shows nothing, but the fault concerns elements of all blocks that differ:
  // the golden of an exact output has the bits of the reference of its time.
  const bool outside_sample = tolerance.kind == Tolerance::Kind::kExact && !exact && r.violations == 0 &&
                              may_be_excused(golden, packed, excused_anywhere);
  if ((tolerance.kind == Tolerance::Kind::kExact || exact) && r.excused == 0 && !outside_sample) {
    r.violations = std::max<std::int64_t>(r.violations, 1);
    if (tolerance.kind == Tolerance::Kind::kExact) r.bits->outside = r.bits->other;
    r.reason = exact ? fmt::format("{}; {}", r.reason, block_text(golden, packed)) : block_text(golden, packed);
  } else if (tolerance.kind == Tolerance::Kind::kExactNan && r.violations == 0 &&
             !same_statistics(golden.statistics, statistics_of(packed))) {
    r.violations = r.bits->outside = 1;
    r.reason = "its statistics differ: " + block_text(golden, packed);
  }
  return r;
}

/// Compares one output of this call with the recorded output.
OutputReport compare_to_golden(const GoldenOutput& golden, const Output& got, const Tolerance& tolerance,
                               const std::vector<Excuse>& excuses, bool exact) {
  const HostTensor packed = got.value.packed();
  const Output own{got.name, packed, got.keyed};
  if (!same_form(golden, packed)) {
    // Records are joined by their keys, so the number of records may differ.
    if (got.keyed && golden.full() && golden.dtype == packed.dtype)
      return compare_records(own, golden.output(), tolerance, kBothSides, excuses, exact);
    return incomparable(got.name, fmt::format("got {}, the golden has {}{}", packed.describe(), name_of(golden.dtype),
                                              format_shape(golden.shape)));
  }
  if (golden.digest == digest_of(packed.storage)) return equal_report(golden);
  if (!tolerance_fits(tolerance, packed)) {
    return incomparable(got.name, fmt::format("its tolerance has another shape than the output {}", packed.describe()));
  }
  if (golden.full()) return compare_records(own, golden.output(), tolerance, kBothSides, excuses, exact);
  return compare_sampled(golden, packed, tolerance, excuses, exact);
}

std::vector<OutputReport> compare_all_to_golden(const GoldenEntry& entry, const Observation& got,
                                                const Tolerances& tolerances, const std::vector<Excuse>& excuses,
                                                bool exact) {
  static const Tolerance kExact;
  std::vector<OutputReport> reports;
  for (const Output& o : got.outputs) {
    const GoldenOutput* golden = find_output(entry, o.name);
    const auto tolerance = tolerances.find(o.name);
    if (golden == nullptr) {
      reports.push_back(incomparable(o.name, "the golden has no such output"));
      continue;
    }
    reports.push_back(
        compare_to_golden(*golden, o, tolerance == tolerances.end() ? kExact : tolerance->second, excuses, exact));
    reports.back().recorded_tightness = golden->tightness;
  }
  for (const GoldenOutput& g : entry.outputs) {
    if (std::ranges::find(got.outputs, g.name, &Output::name) == got.outputs.end())
      reports.push_back(incomparable(g.name, "only the golden has this output"));
  }
  return reports;
}

/// A trial that also compares the response with a golden entry.
class Verification final : public Trial {
 public:
  Verification(CheckedCase c, const Sides& sides, const Policy& policy, const GoldenEntry& entry)
      : Trial(std::move(c), sides, policy), entry_(entry) {}

 protected:
  void steps() override {
    const Response& got = response();
    if (const Digest now = input_digest(call()); now != entry_.inputs) {
      return end(
          Verdict::kError,
          fmt::format("inputs drifted: the inputs of the case have the digest {}, but the recorded inputs have {}, "
                      "so the case says nothing about the kernel; {}",
                      hex(now), hex(entry_.inputs), record_again(tried_case().op, entry_.set)));
    }
    if (entry_.verdict != Verdict::kPassed) return compare_without_golden();
    const bool clean = !got.result.refusal && got.result.findings.empty() && got.observation.findings.empty();
    if (clean && all_equal(entry_, got.observation)) return pass();
    compare_sides();
    if (comparable()) join(compare_all_to_golden(entry_, got.observation, tolerances(), excuses(), exact()));
  }

 private:
  void pass() {
    if (!faults().empty()) result().known_fault = faults().front().fault->id;
    for (const GoldenOutput& g : entry_.outputs) {
      result().outputs.push_back(equal_report(g));
      result().outputs.back().recorded_tightness = g.tightness;
    }
    end(Verdict::kPassed, "");
  }

  /// True if both sides have outputs. Otherwise there is nothing more to compare.
  bool comparable() { return result().verdict != Verdict::kError && !response().result.refusal && response().readable; }

  /// Compares only with the reference, because the recorded verdict is not `passed`. The bits are compared with the
  /// golden's all the same; what they are does not change the verdict.
  void compare_without_golden() {
    compare_sides();
    if (comparable()) {
      for (const OutputReport& r : compare_all_to_golden(entry_, response().observation, tolerances(), {}, false)) {
        const auto it = std::ranges::find(result().outputs, r.name, &OutputReport::name);
        if (it != result().outputs.end()) it->bits = r.bits;
      }
    }
    const std::string was = entry_.verdict == Verdict::kKnown
                                ? fmt::format("recorded with the known fault {}", entry_.known_fault)
                                : fmt::format("recorded with verdict '{}'", name_of(entry_.verdict));
    const bool same = all_equal(entry_, response().observation);
    std::string& reason = result().reason;
    reason += fmt::format("{}the golden was {}, so only the reference decides; the outputs {} the golden's",
                          reason.empty() ? "" : "; ", was, same ? "have the same bits as" : "differ from");
  }

  /// True if the golden has another number of records and keeps only some of them, so that they cannot be joined by
  /// their keys, and a known fault explains all that differs from the reference. The golden was right, as is the
  /// reference.
  bool reference_decides(const OutputReport& golden, const OutputReport& reference) {
    const Output& own = *std::ranges::find(response().observation.outputs, golden.name, &Output::name);
    return own.keyed && golden.compared == 0 && reference.violations == 0 && reference.excused != 0;
  }

  /// True if only the digest of an exact output differs. Then it is right only if the reference shows the known fault.
  static bool differs_unseen(const OutputReport& golden) {
    return golden.tolerance == "exact" && golden.different != 0 && golden.violations == 0 && golden.excused == 0 &&
           golden.certified == 0 && golden.bits.has_value();
  }

  /// Adds the comparison with the golden to the comparison with the reference. For each output, the report from the
  /// golden replaces the report from the reference, except for its error/bound. It does not replace a report with a
  /// violation if the golden shows no violation. The verdict becomes the worse one of both comparisons.
  void join(std::vector<OutputReport> reports) {
    std::vector<std::string> bad;
    for (OutputReport& r : reports) {
      const auto it = std::ranges::find(result().outputs, r.name, &OutputReport::name);
      if (it != result().outputs.end() && reference_decides(r, *it)) continue;
      if (it != result().outputs.end() && differs_unseen(r) && it->excused == 0) {
        r.violations = r.bits->outside = 1;
        r.reason += "; elements outside the sample differ, but not from today's reference";
      }
      if (r.violations != 0) bad.push_back(r.name);
      if (it == result().outputs.end()) {
        result().outputs.push_back(std::move(r));
      } else if (r.violations != 0 || it->violations == 0) {
        r.tightness = it->tightness;  // error/bound is always that against the reference
        if (r.excused < it->excused) std::tie(r.excused, r.excused_by) = std::tie(it->excused, it->excused_by);
        *it = std::move(r);
      } else {
        it->bits = r.bits;
        it->recorded_tightness = r.recorded_tightness;
        it->reason += " (against the reference)";
      }
    }
    if (bad.empty()) return;
    const KnownMatch* match = nullptr;
    const bool known = std::ranges::all_of(
        bad, [&](const std::string& name) { return (match = policy().covering(faults(), name)) != nullptr; });
    const bool right = result().verdict == Verdict::kPassed || result().verdict == Verdict::kMistrusted;
    if (!right && (known || result().verdict != Verdict::kKnown)) return;  // it is already as bad, and has a reason
    const OutputReport& first = *std::ranges::find(result().outputs, bad.front(), &OutputReport::name);
    // With --exact, the tolerance may allow everything that differs.
    const bool allowed = first.bits && first.bits->outside == 0;
    std::string reason = fmt::format(
        "{}differs from the golden in {}: {}", known ? known_reason(*match, "") + ": " : "", fmt::join(bad, ", "),
        allowed ? fmt::format("{}; {}", describe_bits(*first.bits), first.reason) : first.reason);
    if (first.first.has_value() && !first.first->at.empty()) {
      reason += fmt::format("; at {} got {}, recorded {}", format_shape(first.first->at), first.first->got,
                            first.first->want);
    }
    if (right && !known && !allowed) {
      reason += "; today's reference agrees with these outputs, so the golden is out of date or the reference changed";
    }
    if (known) result().known_fault = match->fault->id;
    end(known ? Verdict::kKnown : Verdict::kFailed, reason);
  }

  const GoldenEntry& entry_;
};

}  // namespace

CaseResult verify_case(const CheckedCase& c, const GoldenEntry& entry, const Sides& sides, const Policy& policy) {
  if (c.id() != entry.id)
    throw Error(fmt::format("the golden entry of case {} cannot verify case {}", entry.id, c.id()));
  if (!c.scenario.empty()) throw Error(fmt::format("{}: a scenario has no golden", c.id()));
  return Verification(c, sides, policy, entry).run();
}

std::optional<CheckedCase> case_of_entry(const GoldenEntry& entry, const SideNames& names, CaseResult& lost) {
  std::string why;
  try {
    CheckedCase c = checked_case(entry.id);
    if (c.id() == entry.id && c.scenario.empty()) return c;
    why = c.scenario.empty() ? fmt::format("its id is now written {}", c.id()) : "a scenario has no golden";
  } catch (const Error& e) {
    why = e.what();
  }
  const std::string op = entry.id.substr(0, entry.id.find('/'));
  lost = CaseResult::error(entry.id, names,
                           fmt::format("the golden has a case that the op does not have any more: {}; {}", why,
                                       record_again(op, entry.set)));
  return std::nullopt;
}

}  // namespace dsv4
