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
  std::string summary;            ///< one line
  std::string upstream;           ///< upstream's Python name(s), so that its users find their way
  std::vector<std::string> abis;  ///< signature variants that make() can produce; the first is the preferred one
  std::vector<ParamSpec> params;  ///< in the order of the case id
  std::string host_note;          ///< what running on a CPU cannot show of this op
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
  std::function<void(ScenarioContext&)> run;
  bool needs_device = false;   ///< skipped, with this reason, on sets that cannot tell device from host arguments
  bool needs_overlap = false;  ///< skipped, with this reason, on sets that cannot show a late argument

  [[nodiscard]] std::string label() const;  ///< "relation:repeat"
};

class Op {
 public:
  Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  virtual ~Op() = default;

  [[nodiscard]] virtual const OpInfo& info() const = 0;

  /// Parameter points of a tier. A higher tier contains the lower one's points (the runner takes the union).
  [[nodiscard]] virtual std::vector<Params> points(Tier tier) const = 0;

  /// A sentence that says why these parameters (each in its own range) are no case of the op together; nullopt if they
  /// are.
  [[nodiscard]] virtual std::optional<std::string> reject(const Params&) const { return std::nullopt; }

  /// Inputs of a case. Must depend on nothing but the case. Poisoning of outputs is the caller's business.
  [[nodiscard]] virtual Call make(const Case& c) const = 0;

  /// Canonical outputs of a result of `call`. Called for each side on its own.
  [[nodiscard]] virtual Observation observe(const Case& c, const Call& call, const CallResult& result) const = 0;

  /// Tolerances for the outputs of `got`. `reference` computes bounds and certificates (auxiliary functions).
  [[nodiscard]] virtual Tolerances tolerances(const Case&, const Call&, const CallResult& /*got*/,
                                              const Observation& /*got*/, Caller& /*reference*/) const {
    return {};
  }

  /// Facts that known_faults.json may refer to.
  [[nodiscard]] virtual Facts facts(const Case&, const Call&) const { return {}; }

  [[nodiscard]] virtual std::vector<Scenario> scenarios() const { return {}; }

  /// True if a correct result of this case may be all zeros, all padding or empty: then it is not `mistrusted`.
  [[nodiscard]] virtual bool trivial_by_design(const Case&) const { return false; }

  [[nodiscard]] virtual Cost cost(const Case&, const Call&) const { return {}; }
};

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
  virtual void expect_refused(const std::string& where, const Call& call, const std::string& argument) = 0;
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
/// The signature variants that each op can call, by its name: for open_set().
std::map<std::string, std::vector<std::string>> known_abis();

#define DSV4_REGISTER_OP(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_op(std::make_unique<TYPE>()), true)

/// Scenarios every op has, with its own: "relation:repeat" and "relation:late_<argument>".
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
