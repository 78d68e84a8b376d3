/// Known faults of upstream kernels. One file lists them. A difference that a known fault covers gets the verdict
/// `known`, never `passed`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/op/op.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// One entry of known_faults.json.
struct KnownFault {
  std::string id;  ///< "topk-v1-stash-overflow"
  std::string op;
  /// globs of scenario labels; if empty, only cases without a scenario
  std::vector<std::string> scenarios;
  std::vector<std::string> sets;                           ///< globs of set names
  std::map<std::string, std::vector<std::string>> params;  ///< parameter -> globs of values for which the fault shows
  /// fact -> range of values for which the fault shows, both ends included
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> facts;
  std::vector<std::string> covers;  ///< globs of output and check names that may differ; nothing else is covered
  std::string summary;              ///< what is wrong
  std::string evidence;             ///< smallest case, how the fault was seen, where upstream fixed it
  std::string fix;                  ///< what a fix would be
};

class KnownFaults {
 public:
  KnownFaults() = default;
  /// Reads a file. If this fails, throws an Error that names the file, the entry and the mistake.
  static KnownFaults load(const std::string& path);
  explicit KnownFaults(std::vector<KnownFault> faults) : faults_(std::move(faults)) {}

  /// Returns the first fault whose conditions all hold for this case; null if there is none. `set` is the name in the
  /// set's manifest. `facts` is called at most once, and only if all other conditions of a fault hold.
  [[nodiscard]] const KnownFault* match(const Case& c, const std::string& set,
                                        const std::function<Facts()>& facts) const;
  /// True if `fault` covers a difference in the output or check called `name`.
  static bool covers(const KnownFault& fault, const std::string& name);
  [[nodiscard]] const std::vector<KnownFault>& all() const { return faults_; }

 private:
  std::vector<KnownFault> faults_;
};

/// What a run does with known faults.
struct Policy {
  KnownFaults known;
  bool keep_known = true;  ///< false (--no-known): known faults fail like any other difference

  /// True if a difference in the output or check called `name` gets the verdict `known` because of `fault`. `fault` may
  /// be null.
  [[nodiscard]] bool is_known(const KnownFault* fault, const std::string& name) const {
    return fault != nullptr && keep_known && KnownFaults::covers(*fault, name);
  }
};

/// Stores the id of `fault` in `result`, whose verdict is `error`. If the fault covers `check`, the verdict becomes
/// `known`, unless --no-known was given. Does nothing if `fault` is null. `check` is "crash" for a worker that died or
/// hung, "device_lost" for a dead GPU context, and "refusal" for a valid call that was refused.
void apply_known_fault(const Policy& policy, const KnownFault* fault, const std::string& check, CaseResult& result);

}  // namespace dsv4
