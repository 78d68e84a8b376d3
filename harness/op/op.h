/// What an op is to the harness. One op = one file in harness/ops/<family>/, which derives from Op and registers
/// itself:
///
///   namespace dsv4 { namespace {
///   class MaskTopkIds final : public Op { ... };
///   DSV4_REGISTER_OP(MaskTopkIds);
///   } }
///
/// The runner asks an op for its cases, lets it make the call of a case, makes the call on two sets, lets the op turn
/// each result into canonical outputs, and compares those under the op's tolerances. The op never sees a device or a
/// file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/call/output.h"
#include "harness/case/case.h"
#include "harness/case/space.h"
#include "harness/op/signature.h"

namespace dsv4 {

/// Numbers about a case's inputs that known faults are conditioned on, such as the population of a threshold bin.
using Facts = std::map<std::string, std::int64_t>;

/// Bytes that must move and operations that must be done, whatever the implementation: for throughput and roofline.
struct Cost {
  double bytes = 0;
  double flops = 0;
};

struct OpInfo {
  std::string name;
  std::string family;
  std::string summary;   ///< one line
  std::string upstream;  ///< upstream's Python name(s), so that its users find their way
  /// Signature variants that make() can produce; the first is the preferred one. None: "<name>/1".
  std::vector<std::string> abis = {};
  Space space = {};          ///< the parameters, in the order of the case id
  Signature signature = {};  ///< the arguments, in the order of the call
  /// Points of each tier: lines of Space::points.
  std::vector<std::string> smoke = {}, quick = {}, full = {};
  /// Point of the derived contracts; "": the first smoke point.
  std::string contract_point = {};
  /// Points that production uses, for the benchmark. They may be larger than a sweep allows.
  std::vector<std::string> bench = {};
  /// Derived checks that the op does not have, by label ("relation:any_batch"), and why not.
  std::map<std::string, std::string> without = {};
  std::string host_note = "everything is shown on a CPU";  ///< what running on a CPU cannot show of this op
};

class ScenarioContext;

/// Parameter points of a tier.
using Points = std::function<std::vector<Params>(Tier)>;

/// A case that is more than one call against the reference: a contract, a relation or a sequence.
/// harness/op/contracts.h and harness/op/scenarios.h make them.
struct Scenario {
  enum class Kind { kContract, kRelation, kSequence };
  Kind kind;
  std::string name;
  std::string meaning;  ///< one line: the property or the promise
  Points points;        ///< empty function: the op's first smoke point
  /// May throw where a kernel returned another form than the op promises: see harness/run/trial.h.
  std::function<void(ScenarioContext&)> run;
  bool needs_device = false;   ///< skipped, with this reason, on sets that cannot tell device from host arguments
  bool needs_overlap = false;  ///< skipped, with this reason, on sets that cannot show a late argument

  [[nodiscard]] std::string label() const;  ///< "relation:repeat"
};

class Op {
 public:
  explicit Op(OpInfo info) : info_(std::move(info)) {
    if (info_.abis.empty()) info_.abis = {info_.name + "/1"};
  }
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  virtual ~Op() = default;

  [[nodiscard]] const OpInfo& info() const { return info_; }

  /// Parameter points of a tier: those of info()'s lines. A higher tier contains the lower one's points (the runner
  /// takes the union).
  [[nodiscard]] virtual std::vector<Params> points(Tier tier) const;

  /// A sentence that says why these parameters (each in its own range) are together not a case of the op; nullopt if
  /// they are one.
  [[nodiscard]] virtual std::optional<std::string> reject(const Params&) const { return std::nullopt; }
  /// A sentence that says why a sweep would take too long over this case; nullopt if it would not. A benchmark ignores
  /// it.
  [[nodiscard]] virtual std::optional<std::string> too_large(const Params&) const { return std::nullopt; }
  /// Names of the parameters whose value makes no difference beside the others: the fill, where no row is processed. A
  /// covering shows each pair of values where neither is idle.
  [[nodiscard]] virtual std::vector<std::string> idle(const Params&) const { return {}; }

  /// Inputs of a case. Must depend on nothing but the case. Poisoning of outputs is the caller's business.
  [[nodiscard]] virtual Call make(const Case& c) const = 0;
  /// Makes what follows from the rows of a call fit after some were dropped: footprints, counts.
  virtual void fit(Call&) const {}

  /// Canonical outputs of a result of `call`. Called for each side on its own. The default gives every argument that
  /// the call writes, packed, under its output name. May throw if the result has another form than the op promises.
  [[nodiscard]] virtual Observation observe(const Case& c, const Call& call, const CallResult& result) const;

  /// Tolerances for the outputs of `got`. `reference` computes bounds and certificates (auxiliary functions). Must not
  /// throw, whatever the kernel wrote.
  [[nodiscard]] virtual Tolerances tolerances(const Case&, const Call&, const CallResult& /*got*/,
                                              const Observation& /*got*/, Caller& /*reference*/) const {
    return {};
  }

  /// Facts that known_faults.json may refer to.
  [[nodiscard]] virtual Facts facts(const Case&, const Call&) const { return {}; }

  [[nodiscard]] virtual std::vector<Scenario> scenarios() const { return {}; }

  /// True if a correct result of this case may be all zeros, all padding or empty: then it is not `mistrusted`.
  [[nodiscard]] virtual bool trivial_by_design(const Case&) const { return false; }

  /// The default: each argument is read or written once, and one that is written in place both.
  [[nodiscard]] virtual Cost cost(const Case&, const Call& call) const;

  // What declarations are written with.

  /// A point in the grammar of the case id: "rows=4 k=8". Throws Error for one that is not a case of the op.
  [[nodiscard]] Params params_at(std::string_view point) const;
  /// Points of a scenario: these in every tier, and `more` from the quick tier on.
  [[nodiscard]] Points at(std::vector<std::string> points, std::vector<std::string> more = {}) const;
  /// A call with a zeroed tensor for every argument (Signature::allocate). Sizes are the case's integers and `more`.
  [[nodiscard]] Call allocate(const Case& c, const Sizes& more = {}, Params compile = {}) const;
  /// A call with these values, in the order of the signature.
  [[nodiscard]] Call call(std::vector<Value> values, Params compile = {}) const;

 private:
  OpInfo info_;
};

/// Why parameters (each in its own range) are not a case that a sweep tries: Op::reject, or Op::too_large.
std::optional<std::string> why_not(const Op& op, const Params& params);

/// What a scenario works with: callers for both sides, and the ways to state what must hold.
class ScenarioContext {
 public:
  virtual ~ScenarioContext() = default;

  const Op& op;
  const Case& c;
  Caller& subject;    ///< the set under test
  Caller& reference;  ///< the reference set

  /// The outputs and findings of `got` must satisfy the op's tolerances against `want`; `where` says which step this
  /// is. Findings of `got` fail the case too.
  virtual void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                            const Tolerances& tolerances = {}) = 0;
  /// The call must be refused with an error and nothing may have been written. `argument` must be named by the error
  /// where the set promises that (in-tree sets).
  /// There the error must also contain one of the words in `why` ("size|element"), if any are given: the call must be
  /// refused for its own reason.
  virtual void expect_refused(const std::string& where, const Call& call, const std::string& argument,
                              const std::string& why = "") = 0;
  /// The call must either be refused cleanly, or succeed without any finding and, where the reference takes it too,
  /// with outputs that agree with the reference's.
  virtual void expect_clean(const std::string& where, const Call& call) = 0;
  /// States a failed check directly.
  virtual void fail(const std::string& check, const std::string& detail) = 0;
  /// Counts elements that a check of its own compared, so that the case is not `mistrusted` for comparing nothing.
  virtual void compared(std::int64_t elements) = 0;
  /// Calls the subject; findings of the call (guard bands, changed inputs) fail the case. A refusal fails it as well.
  virtual CallResult call(const std::string& where, const Call& call, const CallOptions& options = {}) = 0;

  /// What the op observes of a call by the set under test, made as call() makes it.
  Observation observed(const std::string& where, const Call& call, const CallOptions& options = {});
  /// The same, for a call that belongs to another case than this one: parameters were changed before make().
  Observation observed(const Case& changed, const std::string& where, const Call& call,
                       const CallOptions& options = {});
  /// What the op observes of a call by the reference. Throws Error if the reference refuses the call.
  Observation expected(const Call& call);
  Observation expected(const Case& changed, const Call& call);

 protected:
  ScenarioContext(const Op& o, const Case& k, Caller& s, Caller& r) : op(o), c(k), subject(s), reference(r) {}
};

/// All ops, sorted by name. Registration happens before main().
const std::vector<const Op*>& all_ops();
/// nullptr if there is none.
const Op* find_op(const std::string& name);
void register_op(std::unique_ptr<Op> op);
/// A call of the op of this name with these values, in the order of its signature. Throws Error for an unknown op.
Call call_of(const std::string& op, std::vector<Value> values, Params compile = {});
/// The signature variants that each op can call, by its name: for open_set().
std::map<std::string, std::vector<std::string>> known_abis();

#define DSV4_REGISTER_OP(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_op(std::make_unique<TYPE>()), true)

/// Scenarios of an op: its own, and those that are derived (harness/op/derived.h).
std::vector<Scenario> all_scenarios(const Op& op);
const Scenario* find_scenario(const std::vector<Scenario>& scenarios, const std::string& label);

/// The cases of a tier: the op's points and its scenarios' points, each once, in a stable order, all with `seed`.
std::vector<Case> cases_of(const Op& op, Tier tier, std::uint64_t seed = 1);
/// One random case for soak.
Case random_case(const Op& op, std::uint64_t seed);

/// A case, with the op and the scenario that it names: looked up once, and then at hand.
struct CheckedCase : Case {
  const Op* definition = nullptr;                 ///< of the op; never null
  std::optional<Scenario> scenario_definition{};  ///< of the scenario, where the case has one
};
/// Checks an id against its op: known op, scenario, exactly the op's parameters in range, and a valid combination.
/// Parameters are put into canonical order. Throws Error that says what is wrong and what is allowed.
CheckedCase checked_case(const std::string& id);
/// Looks up the op and the scenario of a case whose parameters are known to be valid. Throws Error if there is no such
/// op or scenario.
CheckedCase with_definitions(Case c);

}  // namespace dsv4
