/// dsv4diff worker: the process that calls kernels. Other commands start it. A user never starts it.
#include "harness/workers/worker.h"

#include <fmt/format.h>

#include <map>
#include <new>
#include <optional>
#include <set>

#include "harness/cli/command.h"
#include "harness/cli/set_code.h"
#include "harness/core/error.h"
#include "harness/device/crash_report.h"
#include "harness/golden/file.h"
#include "harness/golden/record.h"
#include "harness/golden/verify.h"
#include "harness/op/op.h"
#include "harness/run/case_answer.h"
#include "harness/run/drift_trial.h"
#include "harness/run/dump.h"
#include "harness/run/known_faults.h"
#include "harness/run/trial.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

/// The sets that a worker calls. The reference is opened once, even if it is also the other side.
struct OpenSets {
  std::unique_ptr<Caller> subject;
  std::unique_ptr<Caller> other;  // owns `against`, unless `against` is the reference
  std::unique_ptr<Caller> reference;
  Caller* against = nullptr;

  [[nodiscard]] bool usable() const {
    return subject->usable() && reference->usable() && (!against || against->usable());
  }
};

class WorkerCommand final : public Command {
 public:
  std::string name() const override { return "worker"; }
  std::string summary() const override { return "Call kernels for the other commands"; }
  std::string group() const override { return ""; }

  void add_options(CLI::App& app) override {
    app.add_option("--set", set_)->required();
    app.add_option("--set-label", set_label_)->required();
    app.add_option("--against", against_);
    app.add_option("--against-label", against_label_);
    app.add_flag("--record", record_);
    app.add_option("--golden", goldens_);
    app.add_option("--code", code_);
    app.add_option("--known", known_path_);
    app.add_flag("--no-known", no_known_);
    app.add_flag("--exact", exact_);
    app.add_flag("--errors", errors_);
    app.add_flag("--drift", drift_);
    app.add_option("--memory", memory_gib_);
    app.add_option("--dump", dump_folder_);
  }

  int run() override {
    WorkerConnection connection;
    {
      std::optional<OpenSets> sets;
      try {
        if (!known_path_.empty()) policy_.known = KnownFaults::load(known_path_);
        policy_.keep_known = !no_known_;
        // Read the manifests before the limit applies. If memory runs out while JSON is parsed, freeing the tree ends
        // the process.
        const Manifests manifests = find_manifests();
        policy_.subject = code_of(code_.empty() ? manifests.subject : find_set(code_), set_label_);
        if (manifests.against) policy_.other = code_of(*manifests.against, against_label_);
        apply_limits({.memory_gib = memory_gib_});
        install_crash_report();
        sets = open(manifests);
      } catch (const std::bad_alloc&) {
        lift_memory_limit();
        connection.fatal(
            "out of memory before the first case: --memory is too small, or the machine has no free memory");
        return 2;
      } catch (const std::exception& e) {
        connection.fatal(e.what());
        return 2;
      }
      connection.serve([&](const std::string& id) { return answer(id, *sets); });
    }
    connection.bye();
    return 0;
  }

 private:
  struct Manifests {
    Manifest subject;
    Manifest reference;
    std::optional<Manifest> against;
  };

  Manifests find_manifests() const {
    Manifests m{.subject = find_set(set_), .reference = find_set("reference"), .against = {}};
    if (!against_.empty()) m.against = find_set(against_);
    return m;
  }

  static OpenSets open(const Manifests& manifests) {
    OpenSets s;
    s.subject = open_set(manifests.subject, known_abis());
    s.reference = open_set(manifests.reference, known_abis());
    if (!manifests.against) return s;
    if (manifests.against->folder == manifests.reference.folder) {
      s.against = s.reference.get();
    } else {
      s.other = open_set(*manifests.against, known_abis());
      s.against = s.other.get();
    }
    return s;
  }

  Answer answer(const std::string& id, OpenSets& sets) {
    const Sides sides{.subject = *sets.subject,
                      .against = sets.against == nullptr ? *sets.reference : *sets.against,
                      .reference = *sets.reference,
                      .names = {set_label_, sets.subject->name(), against_label_},
                      .exact = exact_,
                      .errors = errors_};
    if (!dump_folder_.empty()) return dumped(id, sides, sets);
    bool out_of_memory = false;
    const CaseAnswer answer = answer_of(
        id, sides.names, [&] { return tried(id, sides); }, out_of_memory);
    return {.result = answer, .leaving = out_of_memory || !sets.usable()};
  }

  /// Answers a case and writes its tensors to the folder that --dump names.
  Answer dumped(const std::string& id, const Sides& sides, const OpenSets& sets) {
    Dump dump(dump_folder_);
    const auto subject = dump.watch(sides.subject, "subject");
    const auto against = dump.watch(sides.against, "against");
    const auto reference = dump.watch(sides.reference, "reference");
    const Sides watched{.subject = *subject,
                        .against = *against,
                        .reference = *reference,
                        .names = sides.names,
                        .exact = sides.exact,
                        .errors = sides.errors,
                        .on_compare = [&](const std::string& where, const Observation& got, const Observation& want,
                                          const Tolerances& allowed) { dump.compared(where, got, want, allowed); }};
    bool out_of_memory = false;
    const CaseAnswer answer = answer_of(
        id, sides.names,
        [&] {
          dump.begin(id);
          return tried(id, watched);
        },
        out_of_memory);
    return {.result = answer, .leaving = out_of_memory || !sets.usable()};
  }

  CaseAnswer tried(const std::string& id, const Sides& sides) {
    if (drift_) return {drift_case(checked_case(id), sides, policy_)};
    if (record_) {
      RecordedCase recorded = record_case(checked_case(id), sides, policy_);
      CaseAnswer answer{.result = std::move(recorded.result)};
      if (recorded.entry) answer.entry = *recorded.entry;
      return answer;
    }
    if (goldens_.empty()) return {try_case(checked_case(id), sides, policy_)};
    const GoldenEntry& entry = recorded(id);
    CaseResult lost;
    const auto c = case_of_entry(entry, sides.names, lost);
    return {c ? verify_case(*c, entry, sides, policy_) : lost};
  }

  /// Returns the golden entry of a case. The goldens of an op are read when the first of its cases is needed.
  const GoldenEntry& recorded(const std::string& id) {
    const std::string op = id.substr(0, id.find('/'));
    if (loaded_.insert(op).second) {
      for (const std::string& golden : goldens_) {
        if (!golden.starts_with(op + "=")) continue;
        for (GoldenEntry& e : read_golden(golden.substr(op.size() + 1), op).entries) {
          std::string key = e.id;
          entries_.emplace(std::move(key), std::move(e));
        }
      }
    }
    const auto at = entries_.find(id);
    if (at == entries_.end()) throw Error(fmt::format("the golden of op '{}' has no case '{}'", op, id));
    return at->second;
  }

  std::string set_;
  std::string set_label_;
  std::string against_;
  std::string against_label_;
  bool record_ = false;
  std::vector<std::string> goldens_;  // OP=FILE
  std::string code_;                  ///< the set whose known faults apply; "": the set under test
  std::string known_path_;
  bool no_known_ = false;
  bool exact_ = false;
  bool errors_ = false;
  bool drift_ = false;
  double memory_gib_ = 0;
  std::string dump_folder_;
  Policy policy_;
  std::set<std::string> loaded_;
  std::map<std::string, GoldenEntry> entries_;
};

DSV4_REGISTER_COMMAND(WorkerCommand);

}  // namespace
}  // namespace dsv4
