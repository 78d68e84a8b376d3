/// The result of one case: its verdict, the reports on its outputs, and findings.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"
#include "harness/verdict/errors.h"
#include "harness/verdict/places.h"

namespace dsv4 {

enum class Verdict {
  kPassed,       ///< every comparison agrees, and there is no finding
  kFailed,       ///< a difference, a finding, or a broken contract
  kKnown,        ///< differs only as an entry of known_faults.json says
  kError,        ///< crash, signal, time-out, exception, or a refusal of a valid call
  kUnsupported,  ///< the set has no such op or variant
  kSkipped,      ///< could not be run here; `reason` says why
  kMistrusted,   ///< nothing was tested: no element was compared, or all outputs are trivial
};

std::string_view name_of(Verdict verdict);
std::optional<Verdict> verdict_from_name(std::string_view name);
/// True for the verdicts that make a run differ: failed, error and mistrusted.
bool is_difference(Verdict verdict);

/// What was found when a differing case was tried again in a new process.
enum class Confirmed {
  kNotTried,
  kAlone,     ///< it differs when it runs alone
  kSequence,  ///< it agrees alone and differs after other cases; `reproduce` runs them all
  kNotAgain,  ///< it did not differ again
};

std::string_view name_of(Confirmed confirmed);

/// How many elements of an output have the bits of the other side, and how far the others are.
struct BitComparison {
  std::int64_t compared = 0;  ///< number of compared elements; a golden may keep only a sample of an output
  std::int64_t other = 0;     ///< elements with other bits, whether the tolerance allows them or not
  std::int64_t outside = 0;   ///< those of `other` that are outside the tolerance
  std::int64_t ulp = 0;       ///< largest distance of the allowed ones in units of the last place; NaN has no distance
  double share = 0;           ///< largest share of the bound that the distance of an allowed one uses
  bool operator==(const BitComparison&) const = default;
};

/// "12 of 512 elements have other bits, at most 3 ulp and 0.94 of the bound away", or "no bit differs".
std::string describe_bits(const BitComparison& bits);

/// The comparison of one output.
struct OutputReport {
  std::string name;
  std::string tolerance;        ///< "exact", "exact_nan", "bound", "interval"
  std::string reason;           ///< the reason for this tolerance
  std::int64_t compared = 0;    ///< number of compared elements
  std::int64_t different = 0;   ///< elements whose bits differ, whether that is allowed or not
  std::int64_t violations = 0;  ///< elements outside the tolerance that no known fault explains
  std::int64_t excused = 0;     ///< elements outside the tolerance that a known fault explains
  std::string excused_by;       ///< id of the known fault that explains the first of them
  std::int64_t certified = 0;   ///< elements that are a certified alternative
  double tightness = 0;         ///< largest |error| / bound over elements with a bound > 0
  bool trivial = false;         ///< every compared element has the same bits
  /// The comparison with the bits of the other side. Only if that is a kernel set or a golden: the bits of a reference
  /// are not those of a kernel.
  std::optional<BitComparison> bits;
  /// The error/bound against the reference that the golden recorded. Only if a golden is the other side.
  std::optional<double> recorded_tightness;
  /// The errors against the double-precision reference, if they were asked for (--errors). Only of outputs that are not
  /// exact, and only in a case without a scenario.
  std::optional<ErrorStatistics> errors;
  std::optional<PairedErrors> paired;      ///< the same of another set, paired with this one: only in `dsv4diff drift`
  std::optional<ElementDifference> first;  ///< first violation in row-major order
  std::optional<ElementDifference> worst;  ///< largest violation
  std::optional<DifferencePlaces> places;  ///< where the violations are; only if there is one
  bool operator==(const OutputReport&) const = default;
};

/// The names of the two sides of a comparison in results.
struct SideNames {
  std::string set_label;  ///< set under test, as the user named it: a name or a folder
  std::string set_name;   ///< its name in the manifest; goldens use this name
  std::string against;    ///< the other side, as the user named it; "golden:<set>" for a golden
};

struct CaseResult {
  std::string id;
  std::string set_label;  ///< as in SideNames; "set" in JSON
  std::string set_name;
  std::string against;
  Verdict verdict = Verdict::kError;
  std::string reason;  ///< one line; empty when passed
  /// How the case compares with another set that was tried alone: "" (it was not, or both are right), "alike" (both are
  /// wrong in the same way, so the verdict is passed), "new" (only the set under test is wrong), "mended" (only the
  /// other set is wrong), or "changed" (each is wrong in another way).
  std::string change;
  std::string known_fault;  ///< id of the known fault whose conditions hold, even if the fault does not show
  /// id of a known fault whose conditions hold in a case that failed, but whose source file was edited in this set. So
  /// the fault explains nothing.
  std::string not_excused;
  std::vector<OutputReport> outputs;
  std::vector<Finding> findings;
  std::vector<std::string> told;  ///< sentences of a scenario about what it covered; they do not change the verdict
  /// For an error that is not about outputs: "crash" (the worker died or hung), "device_lost" or "refusal"; else "".
  std::string cause;
  double seconds = 0;
  std::string reproduce;                       ///< the command that makes this result again; the sweep fills it in
  Confirmed confirmed = Confirmed::kNotTried;  ///< whether `reproduce` was seen to make this result again
  std::string note;  ///< one line about other tries of the case: what `confirmed` means here, or why it ran twice
  bool operator==(const CaseResult&) const = default;

  /// A result with verdict `error` and this reason, without outputs or findings.
  static CaseResult error(const std::string& id, const SideNames& names, const std::string& reason = "");

  [[nodiscard]] std::string op() const { return id.substr(0, id.find('/')); }
  /// Largest tightness over the outputs.
  [[nodiscard]] double tightness() const;
  /// True if every output has the bits of the other side. nullopt if no output was compared with the bits of a kernel
  /// set or a golden.
  [[nodiscard]] std::optional<bool> same_bits() const;
  /// Names of the outputs with a violation, and of the checks with a finding.
  [[nodiscard]] std::set<std::string> disagreeing() const;
};

void to_json(nlohmann::json& j, const CaseResult& r);
void from_json(const nlohmann::json& j, CaseResult& r);
void to_json(nlohmann::json& j, const OutputReport& r);
void from_json(const nlohmann::json& j, OutputReport& r);

}  // namespace dsv4
