/// Known faults of upstream kernels. One file lists them. A difference that a known fault explains gets the verdict
/// `known`, never `passed`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/case/case.h"
#include "harness/compare/excuse.h"
#include "harness/op/op.h"
#include "harness/run/set_code.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// One entry of known_faults.json. docs/known-faults.md describes the fields.
struct KnownFault {
  enum class Kind {
    kFault,      ///< upstream is wrong
    kVariant,    ///< upstream changed the op on purpose
    kUndefined,  ///< the result of the call depends on what lies in memory, or on the order of threads
  };
  using Range = std::pair<std::int64_t, std::int64_t>;  ///< both ends included

  std::string id;  ///< "topk-v1-stash-overflow"
  std::vector<std::string> ops;
  Kind kind = Kind::kFault;
  std::string package;  ///< "sglang"
  std::string since;    ///< first release with the fault, of those that were tried
  std::string fixed;    ///< first release without the fault; empty if there is none
  /// Paths of the source files that have the fault; if empty, the main source of the op's module.
  std::vector<std::string> sources;
  std::vector<std::string> devices;    ///< devices on which the fault shows; if empty, all
  std::vector<std::string> scenarios;  ///< globs of scenario labels; "" stands for cases without a scenario
  std::map<std::string, std::vector<std::string>> params;  ///< parameter -> globs of values for which the fault shows
  std::map<std::string, Range> facts;                      ///< fact -> range of values for which the fault shows
  /// globs of output and check names that may differ as a whole; nothing else is covered
  std::vector<std::string> covers;
  /// output -> element fact -> range: only elements whose facts are all in range may differ
  std::map<std::string, std::map<std::string, Range>> elements;
  std::string variant;   ///< Op::variant: only elements with the value of this variant may differ
  std::string summary;   ///< what is wrong
  std::string evidence;  ///< smallest case, how the fault was seen, where upstream fixed it
  std::string fix;       ///< what a fix would be
};

std::string_view name_of(KnownFault::Kind kind);

/// Whether an entry applies to an op of a set.
struct Applies {
  enum class Answer {
    kYes,
    kNo,      ///< another package, device or release
    kEdited,  ///< a source file that the fault concerns is of no known release, so the fault may be there or not
  };
  Answer answer = Answer::kNo;
  std::string why;  ///< for kEdited: "csrc/deepseek_v4/hash_topk.cuh differs from sglang 0.5.13"
};
Applies applies_to(const KnownFault& fault, const std::string& op, const SetCode& code);

class KnownFaults {
 public:
  KnownFaults() = default;
  /// Reads a file. If this fails, throws an Error that names the file, the entry and the mistake.
  static KnownFaults load(const std::string& path);
  explicit KnownFaults(std::vector<KnownFault> faults) : faults_(std::move(faults)) {}

  /// Returns the faults whose conditions all hold for this case of a set, and for which applies_to() gives `answer`.
  /// `facts` is called at most once, and only if all other conditions of a fault hold.
  [[nodiscard]] std::vector<const KnownFault*> match(const Case& c, const SetCode& code,
                                                     const std::function<Facts()>& facts,
                                                     Applies::Answer answer = Applies::Answer::kYes) const;
  /// True if `fault` covers any difference in the output or check called `name`.
  static bool covers(const KnownFault& fault, const std::string& name);
  [[nodiscard]] const std::vector<KnownFault>& all() const { return faults_; }

 private:
  std::vector<KnownFault> faults_;
};

/// A known fault that applies to a case.
struct KnownMatch {
  const KnownFault* fault = nullptr;
  std::string other_side;  ///< what texts call the other side if the fault is on that side; "" for the set under test
};
using KnownMatches = std::vector<KnownMatch>;

/// What a run does with known faults.
struct Policy {
  KnownFaults known;
  bool keep_known = true;          ///< false (--no-known): known faults fail like any other difference
  SetCode subject{};               ///< the code of the set under test
  std::optional<SetCode> other{};  ///< the code of the other side, unless it is the reference or a golden

  /// The known faults of both sides that apply to the case. A scenario calls only the set under test, so those of the
  /// other side do not apply to it. `facts`: as in KnownFaults::match().
  [[nodiscard]] KnownMatches matches(const Case& c, const std::function<Facts()>& facts) const;
  /// The id of a known fault that would apply to the case if the set under test had not edited a source file; "" if
  /// there is none.
  [[nodiscard]] std::string not_excused(const Case& c, const std::function<Facts()>& facts) const;
  /// The first match that covers any difference in the output or check called `name`; null if there is none, or if
  /// --no-known was given.
  [[nodiscard]] const KnownMatch* covering(const KnownMatches& matches, const std::string& name) const;
  /// The match that explains all differences of the result; the first one if there are several. Null if the result has
  /// no difference, or one that no match explains.
  [[nodiscard]] const KnownMatch* explaining(const KnownMatches& matches, const CaseResult& result) const;
  /// The elements of the outputs of `call` that the matches excuse; none if --no-known was given. Calls code of the op.
  [[nodiscard]] std::vector<Excuse> excuses(const KnownMatches& matches, const Op& op, const Case& c, const Call& call,
                                            Caller& reference) const;
  /// True if excuses() may return something for these matches.
  [[nodiscard]] bool excuses_elements(const KnownMatches& matches) const;
};

/// Why a case is known: the summary of the fault, the side that has it, and what was seen.
std::string known_reason(const KnownMatch& match, const std::string& seen);

/// Stores the id of a matching fault in `result`, whose verdict is `error`. If a match covers `check`, the verdict
/// becomes `known`, unless --no-known was given. `check` is "crash" for a worker that died or hung, "device_lost" for a
/// dead GPU context, and "refusal" for a valid call that was refused.
void apply_known_faults(const Policy& policy, const KnownMatches& matches, const std::string& check,
                        CaseResult& result);

}  // namespace dsv4
