/// The interface between an op and the harness. Each op is defined in one file, harness/ops/<family>/<op>.cpp. The file
/// derives a class from Op and registers the class:
///
///   namespace dsv4 { namespace {
///   class MaskTopkIds final : public Op { ... };
///   DSV4_REGISTER_OP(MaskTopkIds);
///   } }
///
/// The runner asks the op for its cases and for the call of each case. The runner makes the call on two sets, and the
/// op turns each result into canonical outputs. The runner then compares the outputs within the op's tolerances. An op
/// never uses a device or a file.
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

/// Numbers that describe a case's inputs, such as the number of scores in a threshold bin. An entry of
/// known_faults.json can require ranges of them.
using Facts = std::map<std::string, std::int64_t>;
/// Numbers that describe single rows, tokens or slots, by the name of the fact. Each tensor is i64. Its shape is the
/// beginning of the shape of each output that it describes (harness/compare/excuse.h).
using ElementFacts = std::map<std::string, HostTensor>;

/// The least work that any implementation of a call must do: bytes moved and floating-point operations. Throughput and
/// the roofline are computed from this work.
struct Cost {
  double bytes = 0;
  double flops = 0;
};

struct OpInfo {
  std::string name;
  std::string family;
  std::string summary;   ///< one line
  std::string upstream;  ///< upstream's Python name(s), which its users know; "" if upstream has no such op
  /// ABI names: the signature variants of the calls that make() can produce. A set may have any of them. An empty
  /// list stands for "<name>/1".
  std::vector<std::string> abis = {};
  Space space = {};          ///< the parameters, in the order of the case id
  Signature signature = {};  ///< the arguments, in the order of the call
  /// Points of each tier, as lines for Space::points.
  std::vector<std::string> smoke = {}, quick = {}, full = {};
  /// Point on which the derived contracts run; "" means the first smoke point.
  std::string contract_point = {};
  /// Points for the benchmark, with sizes that production uses. They may be larger than Op::too_large allows.
  std::vector<std::string> bench = {};
  /// Derived checks that the op leaves out: the label ("relation:any_batch") and the reason.
  std::map<std::string, std::string> without = {};
  std::string host_note = "a CPU shows everything";  ///< what a run on a CPU cannot show about this op
};

class ScenarioContext;

/// Parameter points of a tier.
using Points = std::function<std::vector<Params>(Tier)>;

/// A check that does more than compare one call with the reference: a contract, a relation or a sequence. The functions
/// of harness/op/contracts.h and harness/op/scenarios.h make scenarios.
struct Scenario {
  enum class Kind { kContract, kRelation, kSequence };
  Kind kind;
  std::string name;
  std::string meaning;  ///< one line that says what must hold
  Points points;        ///< if empty: only the op's first smoke point
  std::function<void(ScenarioContext&)> run;
  bool needs_device = false;   ///< skipped, with a reason, if Caller::has_device() is false
  bool needs_overlap = false;  ///< skipped, with a reason, if Caller::shows_overlap() is false
  bool needs_edges = false;    ///< skipped, with a reason, if Caller::shows_edges() is false

  [[nodiscard]] std::string label() const;  ///< "relation:repeat"
};

/// Two kernels of a stream, for a case of the second one, the consumer. It takes tensors that the first one, the
/// producer, made (harness/op/pairs.h).
struct Pair {
  std::string producer;            ///< the op that makes the tensors, such as "plan_prefill"
  std::vector<std::string> takes;  ///< the consumer's arguments that take the tensors, in the order of `produced`
  Points points;                   ///< as in Scenario
  std::function<Call(const Case&)> produce;
  /// The consumer's call with these tensors. Op::fit is called afterwards, and leaves them as they are.
  std::function<Call(const Case&, const std::vector<HostTensor>& produced)> consume;
  /// The producer's arguments in which it makes the tensors, in the order of `takes`. Empty: it returns them.
  std::vector<std::string> makes = {};
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

  /// Parameter points of a tier, from the lines in info(). The points of lower tiers may be missing, because cases_of()
  /// takes the union of the tiers.
  [[nodiscard]] virtual std::vector<Params> points(Tier tier) const;

  /// Says in one sentence why this combination of parameters is not a case of the op; nullopt if it is a case. The
  /// caller has checked that each parameter is in its own range.
  [[nodiscard]] virtual std::optional<std::string> reject(const Params&) const { return std::nullopt; }
  /// Says in one sentence why this case is too large for a sweep; nullopt if it is small enough. Benchmarks ignore
  /// this limit.
  [[nodiscard]] virtual std::optional<std::string> too_large(const Params&) const { return std::nullopt; }
  /// Names of the idle parameters: those whose value makes no difference at this point. For example, the fill is idle
  /// if no row is processed. A covering has each pair of values at a point where neither parameter is idle, if there is
  /// a valid one.
  [[nodiscard]] virtual std::vector<std::string> idle(const Params&) const { return {}; }

  /// Makes the call of a case, with its inputs. The call must depend only on the case. Outputs need no contents,
  /// because they are poisoned before each call.
  [[nodiscard]] virtual Call make(const Case& c) const = 0;
  /// Called after rows were removed from a call. Adjusts everything that depends on the rows, such as footprints
  /// and counts.
  virtual void fit(Call&) const {}
  /// Numbers (in row-major order) of those elements of the integer tensor `argument` that row `row` of the batch uses.
  /// The derived contract about indices changes them. The default returns the elements of row `row` of the tensor.
  [[nodiscard]] virtual std::vector<std::int64_t> indices_of(const Call& call, const std::string& argument,
                                                             std::int64_t row) const;

  /// Turns a result of `call` into canonical outputs. This function is called for each side separately. The default
  /// returns every output argument, packed, under its output name. May throw if the kernel returned another form than
  /// the op promises: the case then fails (harness/run/trial.h).
  [[nodiscard]] virtual Observation observe(const Case& c, const Call& call, const CallResult& result) const;

  /// Tolerances for the outputs of `got`, the result of the set under test. An output without an entry must be exact.
  /// The auxiliary functions of `reference` compute bounds and intervals. Must not throw, whatever the kernel wrote.
  [[nodiscard]] virtual Tolerances tolerances(const Case&, const Call&, const CallResult& /*got*/,
                                              const Observation& /*got*/, Caller& /*reference*/) const {
    return {};
  }

  /// Facts that known_faults.json may refer to.
  [[nodiscard]] virtual Facts facts(const Case&, const Call&) const { return {}; }
  /// Facts about single elements of the outputs of `call`, to which known_faults.json may refer. `call` may be a call
  /// of a scenario.
  [[nodiscard]] virtual ElementFacts element_facts(const Case&, const Call&) const { return {}; }
  /// What upstream computes since it changed the op on purpose, or what a fault of upstream gives. `name` is the field
  /// `variant` in known_faults.json.
  /// nullopt if the op has no variant of this name, or if the variant gives the same outputs for this call.
  [[nodiscard]] virtual std::optional<Alternative> variant(const std::string& /*name*/, const Case&, const Call&,
                                                           Caller& /*reference*/) const {
    return std::nullopt;
  }

  [[nodiscard]] virtual std::vector<Scenario> scenarios() const { return {}; }
  /// The pairs in which this op is the consumer.
  [[nodiscard]] virtual std::vector<Pair> pairs() const { return {}; }

  /// True if a correct result of this case may be trivial: all values equal (such as zeros or padding), or no values.
  /// Then the case does not get the verdict `mistrusted` for a trivial result.
  [[nodiscard]] virtual bool trivial_by_design(const Case&) const { return false; }

  /// The work of a call. The default counts the bytes of each tensor once, and the bytes of in-place arguments twice.
  /// It does not count workspaces, and its number of operations is 0.
  [[nodiscard]] virtual Cost cost(const Case&, const Call& call) const;

  // Helpers for declarations.

  /// Parses a point, such as "rows=4 k=8". Throws Error if it is not a point or why_not() rejects it.
  [[nodiscard]] Params params_at(std::string_view point) const;
  /// Points of a scenario: `points` in every tier, and also `more` from the quick tier on.
  [[nodiscard]] Points at(std::vector<std::string> points, std::vector<std::string> more = {}) const;
  /// A call with a zeroed tensor for each tensor argument (Signature::allocate). Symbols of shapes take their sizes
  /// from `more`, or else from the integer parameters of the case.
  [[nodiscard]] Call allocate(const Case& c, const Sizes& more = {}, Params compile = {}) const;
  /// A call with these values, in the order of the signature.
  [[nodiscard]] Call call(std::vector<Value> values, Params compile = {}) const;

 private:
  OpInfo info_;
};

/// Says why a sweep does not run this combination of parameters: the answer of Op::reject or, if Op::reject has none,
/// of Op::too_large. nullopt if a sweep runs it. Each parameter must be in its own range.
std::optional<std::string> why_not(const Op& op, const Params& params);

/// The argument of a scenario's `run`: callers for both sides, and functions that state what must hold.
class ScenarioContext {
 public:
  virtual ~ScenarioContext() = default;

  const Op& op;
  const Case& c;
  Caller& subject;    ///< the set under test
  Caller& reference;  ///< the reference set
  /// The other side of the comparison, if it is a kernel set that shows overlapping kernels; null if it is not.
  Caller* other = nullptr;

  /// The outputs of `got` must agree with the outputs of `want` within `tolerances`. An output without an entry must be
  /// exact. Findings of `got` fail the case too. `where` names the step in reports.
  virtual void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                            const Tolerances& tolerances = {}) = 0;
  /// The function must refuse the call with an error, and must not write anything. If the set promises to name
  /// arguments, as in-tree sets do, the error must name `argument`. Then it must also contain one of the words in `why`
  /// ("size|element"), unless `why` is empty. So a refusal for another reason fails the case.
  virtual void expect_refused(const std::string& where, const Call& call, const std::string& argument,
                              const std::string& why = "") = 0;
  /// The function may refuse the call or accept it, but the call must have no finding. If the set under test and the
  /// reference both accept the call, their outputs must agree.
  virtual void expect_clean(const std::string& where, const Call& call) = 0;
  /// Says that the next comparisons are about the outputs of `call`. Otherwise they are about the last call of call().
  /// Known faults that concern single elements need it.
  virtual void about(const Call& /*call*/) {}
  /// Reports a failed check: adds a finding, which fails the case.
  virtual void fail(const std::string& check, const std::string& detail) = 0;
  /// Counts elements that the scenario compared without expect_agree(). A case with no compared element would
  /// be `mistrusted`.
  virtual void compared(std::int64_t elements) = 0;
  /// Says in one sentence what the scenario covered. The report shows equal sentences once, with their number.
  virtual void tell(const std::string& /*sentence*/) {}
  /// Calls the set under test. Findings of the call (guard bands, changed inputs) fail the case. If the call is
  /// refused, the case ends with the verdict `error`.
  virtual CallResult call(const std::string& where, const Call& call, const CallOptions& options = {}) = 0;

  /// Calls the set under test as call() does, and returns the op's canonical outputs.
  Observation observed(const std::string& where, const Call& call, const CallOptions& options = {});
  /// The same for a call of `changed`: the case of this scenario with other parameters.
  Observation observed(const Case& changed, const std::string& where, const Call& call,
                       const CallOptions& options = {});
  /// Calls the reference and returns the op's canonical outputs. Throws Error if the reference refuses the call.
  Observation expected(const Call& call);
  Observation expected(const Case& changed, const Call& call);

 protected:
  ScenarioContext(const Op& o, const Case& k, Caller& s, Caller& r) : op(o), c(k), subject(s), reference(r) {}
};

/// All ops, sorted by name. They are registered before main().
const std::vector<const Op*>& all_ops();
/// The op of this name; nullptr if there is none.
const Op* find_op(const std::string& name);
void register_op(std::unique_ptr<Op> op);
/// A call of the named op with these values, in the order of its signature. Throws Error for an unknown op.
Call call_of(const std::string& op, std::vector<Value> values, Params compile = {});
/// The ABI names (OpInfo::abis) of each op, by the op's name. open_set() needs them.
std::map<std::string, std::vector<std::string>> known_abis();

#define DSV4_REGISTER_OP(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_op(std::make_unique<TYPE>()), true)

/// All scenarios of an op: its own and the derived ones (harness/op/derived.h).
std::vector<Scenario> all_scenarios(const Op& op);
const Scenario* find_scenario(const std::vector<Scenario>& scenarios, const std::string& label);

/// The cases of a tier and of the tiers below it: the op's points and the points of its scenarios. Each case occurs
/// once. The order is stable. Every case has the seed `seed`.
std::vector<Case> cases_of(const Op& op, Tier tier, std::uint64_t seed = 1);
/// One random case for the soak tier. Throws Error if none of 1000 attempts is valid.
Case random_case(const Op& op, std::uint64_t seed);

/// A case with the op and the scenario that it names, so that both are looked up only once.
struct CheckedCase : Case {
  const Op* definition = nullptr;                 ///< the op; never null
  std::optional<Scenario> scenario_definition{};  ///< the scenario, if the case has one
};
/// Parses and checks a case id. Its op and scenario must exist. It must give a value to each parameter of the op, and
/// to no other. Each value must be in range, and the combination must be valid. Puts the parameters into the op's
/// order. Throws an Error that says what is wrong and what is allowed.
CheckedCase checked_case(const std::string& id);
/// Looks up the op and the scenario of a case. Does not check the parameters, which must be valid. Throws Error if
/// there is no such op or scenario.
CheckedCase with_definitions(Case c);

}  // namespace dsv4
