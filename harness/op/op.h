/// The interface between an op and the harness. Each op is one file in harness/ops/<family>/. It derives a class from
/// Op and registers it:
///
///   namespace dsv4 { namespace {
///   class MaskTopkIds final : public Op { ... };
///   DSV4_REGISTER_OP(MaskTopkIds);
///   } }
///
/// The runner asks the op for its cases and for the call of each case. It makes the call on two sets, and the op turns
/// each result into canonical outputs. The runner then compares those within the op's tolerances. An op never uses a
/// device or a file.
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

/// Numbers about a case's inputs, such as the population of a threshold bin. A known fault can apply only where they
/// have given values.
using Facts = std::map<std::string, std::int64_t>;

/// The least work that any implementation must do: bytes moved and floating-point operations. Throughput and the
/// roofline are computed from it.
struct Cost {
  double bytes = 0;
  double flops = 0;
};

struct OpInfo {
  std::string name;
  std::string family;
  std::string summary;   ///< one line
  std::string upstream;  ///< upstream's Python name(s), which its users know
  /// Signature variants that make() can produce; the first is the preferred one. If empty: "<name>/1".
  std::vector<std::string> abis = {};
  Space space = {};          ///< the parameters, in the order of the case id
  Signature signature = {};  ///< the arguments, in the order of the call
  /// Points of each tier, as lines for Space::points.
  std::vector<std::string> smoke = {}, quick = {}, full = {};
  /// Point of the derived contracts; "" means the first smoke point.
  std::string contract_point = {};
  /// Points that production uses, for the benchmark. They may be larger than a sweep allows.
  std::vector<std::string> bench = {};
  /// Derived checks that the op leaves out: the label ("relation:any_batch") and the reason.
  std::map<std::string, std::string> without = {};
  std::string host_note = "a CPU shows everything";  ///< what a run on a CPU cannot show about this op
};

class ScenarioContext;

/// Parameter points of a tier.
using Points = std::function<std::vector<Params>(Tier)>;

/// A check that is more than one call compared with the reference: a contract, a relation or a sequence.
/// harness/op/contracts.h and harness/op/scenarios.h make them.
struct Scenario {
  enum class Kind { kContract, kRelation, kSequence };
  Kind kind;
  std::string name;
  std::string meaning;  ///< one line: the property or the promise
  Points points;        ///< if empty: the op's first smoke point
  std::function<void(ScenarioContext&)> run;
  bool needs_device = false;   ///< skipped, with a reason, on sets that cannot tell device from host arguments
  bool needs_overlap = false;  ///< skipped, with a reason, on sets that cannot show a late argument

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

  /// Parameter points of a tier, from the lines in info(). They need not contain the points of lower tiers, because the
  /// runner takes the union.
  [[nodiscard]] virtual std::vector<Params> points(Tier tier) const;

  /// Says in one sentence why these parameters together are not a case of the op; nullopt if they are one. Each
  /// parameter is in its own range.
  [[nodiscard]] virtual std::optional<std::string> reject(const Params&) const { return std::nullopt; }
  /// Says in one sentence why a sweep would take too long over this case; nullopt if it would not. A benchmark
  /// ignores it.
  [[nodiscard]] virtual std::optional<std::string> too_large(const Params&) const { return std::nullopt; }
  /// Names of the parameters whose value makes no difference at this point. For example, the fill does not matter if no
  /// row is processed. A covering shows each pair of values at a point where neither parameter is idle.
  [[nodiscard]] virtual std::vector<std::string> idle(const Params&) const { return {}; }

  /// Makes the call of a case, with its inputs. The call must depend on nothing but the case. The caller poisons
  /// the outputs.
  [[nodiscard]] virtual Call make(const Case& c) const = 0;
  /// Adjusts what depends on the rows of a call, such as footprints and counts, after rows were dropped.
  virtual void fit(Call&) const {}

  /// Turns a result of `call` into canonical outputs. It is called for each side separately. The default returns every
  /// argument that the call writes, packed, under its output name.
  [[nodiscard]] virtual Observation observe(const Case& c, const Call& call, const CallResult& result) const;

  /// Tolerances for the outputs of `got`; an output without an entry must be exact. The auxiliary functions of
  /// `reference` compute bounds and intervals.
  [[nodiscard]] virtual Tolerances tolerances(const Case&, const Call&, const CallResult& /*got*/,
                                              const Observation& /*got*/, Caller& /*reference*/) const {
    return {};
  }

  /// Facts that known_faults.json may refer to.
  [[nodiscard]] virtual Facts facts(const Case&, const Call&) const { return {}; }

  [[nodiscard]] virtual std::vector<Scenario> scenarios() const { return {}; }

  /// True if a correct result of this case may be all zeros, all padding or empty. Such a case is not `mistrusted`.
  [[nodiscard]] virtual bool trivial_by_design(const Case&) const { return false; }

  /// The work of a call. By default each element is read or written once, and in-place arguments count twice.
  /// Workspaces do not count, and the number of operations is 0.
  [[nodiscard]] virtual Cost cost(const Case&, const Call& call) const;

  // Helpers for declarations.

  /// Parses a point, written as in a case id: "rows=4 k=8". Throws Error if it is not a case of the op.
  [[nodiscard]] Params params_at(std::string_view point) const;
  /// Points of a scenario: these in every tier, and `more` from the quick tier on.
  [[nodiscard]] Points at(std::vector<std::string> points, std::vector<std::string> more = {}) const;
  /// A call with a zeroed tensor for each tensor argument (Signature::allocate). Symbols of shapes take their sizes
  /// from `more`, or else from the integer parameters of the case.
  [[nodiscard]] Call allocate(const Case& c, const Sizes& more = {}, Params compile = {}) const;
  /// A call with these values, in the order of the signature.
  [[nodiscard]] Call call(std::vector<Value> values, Params compile = {}) const;

 private:
  OpInfo info_;
};

/// Says why a sweep does not run these parameters, each of which is in its own range: the answer of Op::reject, or else
/// of Op::too_large. nullopt if a sweep runs them.
std::optional<std::string> why_not(const Op& op, const Params& params);

/// What a scenario gets: callers for both sides, and functions that state what must hold.
class ScenarioContext {
 public:
  virtual ~ScenarioContext() = default;

  const Op& op;
  const Case& c;
  Caller& subject;    ///< the set under test
  Caller& reference;  ///< the reference set

  /// The outputs of `got` must agree with those of `want` within `tolerances`; an output without an entry must be
  /// exact. Findings of `got` fail the case too. `where` names the step in reports.
  virtual void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                            const Tolerances& tolerances = {}) = 0;
  /// The call must be refused with an error, and nothing may have been written. If the set promises to name arguments
  /// (in-tree sets), the error must name `argument`. If `why` is not empty, the error must then also contain one of its
  /// words ("size|element"). So a refusal for another reason does not pass.
  virtual void expect_refused(const std::string& where, const Call& call, const std::string& argument,
                              const std::string& why = "") = 0;
  /// The call may be refused or succeed, but without any finding. If the reference accepts it too, the outputs must
  /// agree with the reference's.
  virtual void expect_clean(const std::string& where, const Call& call) = 0;
  /// Reports a failed check: adds a finding, which fails the case.
  virtual void fail(const std::string& check, const std::string& detail) = 0;
  /// Counts elements that the scenario compared by itself, so that the case is not `mistrusted` for comparing nothing.
  virtual void compared(std::int64_t elements) = 0;
  /// Calls the set under test. Findings of the call (guard bands, changed inputs) fail the case. If the call is
  /// refused, the case ends as an `error`.
  virtual CallResult call(const std::string& where, const Call& call, const CallOptions& options = {}) = 0;

  /// Calls the set under test as call() does, and returns the op's canonical outputs.
  Observation observed(const std::string& where, const Call& call, const CallOptions& options = {});
  /// The same for a call of another case, whose parameters were changed before make().
  Observation observed(const Case& changed, const std::string& where, const Call& call,
                       const CallOptions& options = {});
  /// Calls the reference and returns the op's canonical outputs. Throws Error if the reference refuses the call.
  Observation expected(const Call& call);
  Observation expected(const Case& changed, const Call& call);

 protected:
  ScenarioContext(const Op& o, const Case& k, Caller& s, Caller& r) : op(o), c(k), subject(s), reference(r) {}
};

/// All ops, sorted by name. Registration happens before main().
const std::vector<const Op*>& all_ops();
/// The op of this name; nullptr if there is none.
const Op* find_op(const std::string& name);
void register_op(std::unique_ptr<Op> op);
/// A call of the named op with these values, in the order of its signature. Throws Error for an unknown op.
Call call_of(const std::string& op, std::vector<Value> values, Params compile = {});
/// The signature variants that each op can call, by the op's name. open_set() needs them.
std::map<std::string, std::vector<std::string>> known_abis();

#define DSV4_REGISTER_OP(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_op(std::make_unique<TYPE>()), true)

/// All scenarios of an op: its own and the derived ones (harness/op/derived.h).
std::vector<Scenario> all_scenarios(const Op& op);
const Scenario* find_scenario(const std::vector<Scenario>& scenarios, const std::string& label);

/// The cases of a tier and of the tiers below it: the op's points and the points of its scenarios. Each case occurs
/// once, in a stable order, and all have `seed`.
std::vector<Case> cases_of(const Op& op, Tier tier, std::uint64_t seed = 1);
/// One random case for soak. Throws Error if 1000 attempts find no valid one.
Case random_case(const Op& op, std::uint64_t seed);

/// A case with the op and the scenario that it names, so that they are looked up only once.
struct CheckedCase : Case {
  const Op* definition = nullptr;                 ///< the op; never null
  std::optional<Scenario> scenario_definition{};  ///< the scenario, if the case has one
};
/// Parses and checks a case id. Its op and scenario must exist. It must have exactly the op's parameters, in range, and
/// in a valid combination. Puts the parameters into canonical order. Throws an Error that says what is wrong and what
/// is allowed.
CheckedCase checked_case(const std::string& id);
/// Looks up the op and the scenario of a case whose parameters are known to be valid. Throws Error if there is no such
/// op or scenario.
CheckedCase with_definitions(Case c);

}  // namespace dsv4
