/// Tests that every check of every op can fail. Each output, contract, relation and sequence is tried on a set with one
/// fault, and must find that fault.
///
/// The set is the reference, whose results are changed before they are returned. So the checks of a new op are tested
/// without more code, and a check that cannot fail is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/run/trial.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

/// The reference set under another name. It has the properties of a set of the host executor whose errors
/// name arguments.
class Tampered final : public Caller {
 public:
  /// Changes the result of the n-th call.
  using Change = std::function<void(int n, CallResult&)>;
  explicit Tampered(Change change) : change_(std::move(change)) {}

  CallResult call(const Call& call, const CallOptions& options) override {
    CallOptions plain = options;  // the reference is not a kernel that could overlap another
    plain.late.clear();
    plain.late_allocations = false;
    plain.watch_late_writes = false;
    CallResult result = reference_set().call(call, plain);
    change_(calls_++, result);
    return result;
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return true; }
  [[nodiscard]] bool shows_overlap() const override { return true; }
  [[nodiscard]] bool shows_edges() const override { return true; }
  [[nodiscard]] int calls() const { return calls_; }

 private:
  std::string name_ = "tampered";
  Change change_;
  int calls_ = 0;
};

/// A set that returns the same result for every call.
class Canned final : public Caller {
 public:
  explicit Canned(CallResult answer) : answer_(std::move(answer)) {}
  CallResult call(const Call& call, const CallOptions&) override {
    CallResult result = answer_;
    result.args = call.args;
    return result;
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return true; }

 private:
  std::string name_ = "canned";
  CallResult answer_;
};

CaseResult tried(const Case& c, Caller& subject) {
  return try_case(with_definitions(c), {subject, reference_set(), reference_set()});
}

std::vector<const Op*> real_ops() {
  std::vector<const Op*> ops;
  for (const Op* op : all_ops()) {
    if (op->info().family != "test") ops.push_back(op);
  }
  return ops;
}

/// The smoke cases of an op whose scenario begins with `prefix`. "" means the cases without a scenario.
std::vector<Case> smoke_cases(const Op& op, const std::string& prefix) {
  std::vector<Case> cases;
  for (Case& c : cases_of(op, Tier::kSmoke)) {
    if (prefix.empty() ? c.scenario.empty() : c.scenario.starts_with(prefix)) cases.push_back(std::move(c));
  }
  return cases;
}

// --- outputs --------------------------------------------------------------------------------------------------------

/// A tensor that a call may have changed, or that it returned. `may` is 1 for each byte that the call may write.
struct Given {
  std::string name;
  HostTensor* tensor;
  std::vector<std::uint8_t> may;
};

std::vector<Given> given_back(CallResult& result) {
  std::vector<Given> all;
  for (Arg& arg : result.args) {
    if (arg.role != Role::kOut && arg.role != Role::kInOut) continue;
    all.push_back({arg.name, &arg.tensor(), arg.footprint.empty() ? arg.tensor().view_mask() : arg.footprint});
  }
  for (std::size_t i = 0; i < result.returned.size(); ++i) {
    if (auto* t = std::get_if<HostTensor>(&result.returned[i]))
      all.push_back({"returned " + std::to_string(i), t, t->view_mask()});
  }
  return all;
}

/// Offsets (in bytes of the storage) of the elements that the call may write, and that have a meaning.
std::vector<std::size_t> elements_of(const Given& given) {
  std::vector<std::size_t> places;
  const auto size = static_cast<std::size_t>(size_of(given.tensor->dtype));
  for (std::size_t at = 0; at < given.may.size(); at += size) {
    if (given.may[at] != 0 && given.may[at] != kMayChangeWithoutMeaning) places.push_back(at);
  }
  return places;
}

/// Changes one element: a float is about doubled or halved, an integer changes by one.
void spoil(HostTensor& tensor, std::size_t at) {
  std::uint8_t* const byte = tensor.storage.data() + at;
  switch (tensor.dtype) {
    case DType::kF32:
      byte[2] ^= 0x80;
      break;
    case DType::kBF16:
      byte[0] ^= 0x80;
      break;
    case DType::kE4M3:
      byte[0] ^= 0x08;
      break;
    default:
      byte[0] ^= 0x01;
  }
}

TEST(EveryOp, EachOutputIsComparedAtItsBeginningMiddleAndEnd) {
  for (const Op* op : real_ops()) {
    for (const Case& c : smoke_cases(*op, "")) {
      Tampered honest([](int, CallResult&) {});
      const CaseResult right = tried(c, honest);
      ASSERT_EQ(right.verdict, Verdict::kPassed) << c.id() << ": " << right.reason;
      CallResult sample = reference_set().call(op->make(c));
      const auto outputs = given_back(sample);
      ASSERT_FALSE(outputs.empty()) << c.id();
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto places = elements_of(outputs[i]);
        if (places.empty()) continue;
        for (const std::size_t at : {places.front(), places[places.size() / 2], places.back()}) {
          Tampered tampered([&](int, CallResult& r) { spoil(*given_back(r)[i].tensor, at); });
          const CaseResult wrong = tried(c, tampered);
          EXPECT_EQ(wrong.verdict, Verdict::kFailed)
              << c.id() << ": no check found that byte " << at << " of '" << outputs[i].name << "' is wrong";
        }
      }
    }
  }
}

/// Number of all bytes of a call's tensors, and number of the bytes that the call wrote.
struct Traffic {
  double all = 0;
  double written = 0;
};

Traffic traffic_of(const Call& call, CallResult& result) {
  Traffic t;
  for (const Arg& arg : result.args) {
    if (arg.is_tensor()) t.all += static_cast<double>(arg.tensor().storage.size());
  }
  for (const Given& given : given_back(result)) {
    // An argument that may be written counts a second time here. A returned tensor counts once.
    t.all += static_cast<double>(given.tensor->storage.size());
    const auto arg = std::ranges::find(call.args, given.name, &Arg::name);
    for (std::size_t i = 0; i < given.may.size(); ++i) {
      const bool in_place = arg != call.args.end() && arg->role == Role::kInOut;
      const bool same = in_place && arg->tensor().storage[i] == given.tensor->storage[i];
      t.written += given.may[i] != 0 && !same ? 1 : 0;
    }
  }
  return t;
}

TEST(EveryOp, TheCostOfACallLiesBetweenItsWritesAndAllItsBytes) {
  for (const Op* op : real_ops()) {
    for (const Case& c : smoke_cases(*op, "")) {
      const Call call = op->make(c);
      CallResult result = reference_set().call(call);
      const Traffic traffic = traffic_of(call, result);
      const Cost cost = op->cost(c, call);
      EXPECT_GE(cost.bytes, traffic.written) << c.id();
      EXPECT_LE(cost.bytes, traffic.all) << c.id();
      EXPECT_GE(cost.flops, 0) << c.id();
    }
  }
}

// --- anything that a kernel may write or return ---------------------------------------------------------------------

/// A name, and a function that changes a result as a wrong kernel may change it.
using Damage = std::pair<std::string, std::function<void(CallResult&)>>;

Damage filled(const std::string& name, const std::function<std::uint8_t(std::size_t)>& byte) {
  return {name, [byte](CallResult& r) {
            for (const Given& given : given_back(r)) {
              for (std::size_t i = 0; i < given.may.size(); ++i) {
                if (given.may[i] != 0) given.tensor->storage[i] = byte(i);
              }
            }
          }};
}

Damage returned(const std::string& name, const std::function<Value(const Value&)>& other) {
  return {"returned " + name, [other](CallResult& r) {
            for (Value& value : r.returned) value = other(value);
          }};
}

/// Gives the returned tensors another form. Does not change other returned values.
Damage reformed(const std::string& name, const std::function<HostTensor(const HostTensor&)>& other) {
  return returned(name, [other](const Value& value) {
    const auto* t = std::get_if<HostTensor>(&value);
    return t == nullptr ? value : Value(other(*t));
  });
}

Damage resized_by(const std::string& name, std::int64_t rows) {
  return reformed(name, [rows](const HostTensor& t) {
    Shape shape = t.shape;
    if (!shape.empty()) shape[0] = std::max<std::int64_t>(0, shape[0] + rows);
    HostTensor other = HostTensor::make(t.dtype, shape);
    std::copy_n(t.storage.begin(), std::min(t.storage.size(), other.storage.size()), other.storage.begin());
    return other;
  });
}

std::vector<Damage> all_damages() {
  std::vector<Damage> all{
      filled("zeros", [](std::size_t) { return std::uint8_t{0}; }),
      filled("ones", [](std::size_t) { return std::uint8_t{0xff}; }),
      filled("largest", [](std::size_t i) { return static_cast<std::uint8_t>(i % 4 == 3 ? 0x7f : 0xff); }),
      filled("poison", [](std::size_t i) { return poison_byte(0, i); })};
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const auto random = std::make_shared<Random>(seed, "damage");
    all.push_back(filled("random", [random](std::size_t) { return static_cast<std::uint8_t>(random->u32()); }));
  }
  all.emplace_back("returned nothing", [](CallResult& r) { r.returned.clear(); });
  all.emplace_back("returned one value less", [](CallResult& r) {
    if (!r.returned.empty()) r.returned.pop_back();
  });
  all.push_back(returned("absent values", [](const Value&) { return None{}; }));
  all.push_back(returned("a float", [](const Value&) { return 0.5; }));
  all.push_back(returned("a tensor", [](const Value&) { return HostTensor::make(DType::kI32, {2, 2}); }));
  for (const std::int64_t n : {std::int64_t{-1}, std::int64_t{0}, std::numeric_limits<std::int64_t>::max(),
                               std::numeric_limits<std::int64_t>::min()}) {
    all.push_back(returned("the number " + std::to_string(n), [n](const Value& value) {
      return std::holds_alternative<std::int64_t>(value) ? Value(n) : value;
    }));
  }
  all.push_back(resized_by("one row less", -1));
  all.push_back(resized_by("one row more", 1));
  all.push_back(resized_by("no row", -(std::int64_t{1} << 40)));
  all.push_back(reformed("another dtype", [](const HostTensor& t) { return HostTensor::make(DType::kF64, t.shape); }));
  all.push_back(reformed("no dimension", [](const HostTensor& t) { return HostTensor::make(t.dtype, {}); }));
  all.push_back(reformed("a dimension more", [](const HostTensor& t) {
    Shape shape = t.shape;
    shape.push_back(1);
    return HostTensor::make(t.dtype, shape);
  }));
  all.push_back(reformed("another width", [](const HostTensor& t) {
    Shape shape = t.shape;
    if (!shape.empty()) ++shape.back();
    return HostTensor::make(t.dtype, shape);
  }));
  return all;
}

/// Returns the verdict on a set that damages the result of every call. If the trial throws an exception such as
/// InternalError, the test fails.
std::optional<Verdict> verdict_on_damage(const Case& c, const Damage& damage) {
  Tampered damaged([&](int, CallResult& r) { damage.second(r); });
  try {
    return tried(c, damaged).verdict;
  } catch (const std::exception& e) {
    ADD_FAILURE() << c.id() << ", " << damage.first << ": " << e.what();
    return std::nullopt;
  }
}

TEST(EveryOp, WhateverAKernelWritesOrReturnsEndsInAVerdict) {
  for (const Op* op : real_ops()) {
    int failed = 0;
    for (const Case& c : smoke_cases(*op, "")) {
      for (const Damage& damage : all_damages()) {
        const auto verdict = verdict_on_damage(c, damage);
        failed += verdict == Verdict::kFailed ? 1 : 0;
        // Damage to returned values changes nothing if the op returns none. Then the case passes.
        EXPECT_TRUE(!verdict || verdict == Verdict::kFailed || verdict == Verdict::kPassed)
            << c.id() << ", " << damage.first << ": " << name_of(*verdict);
      }
    }
    EXPECT_GE(failed, 5) << op->info().name;
  }
}

TEST(EveryOp, WhateverAKernelWritesOrReturnsEndsInAVerdictOfEachScenario) {
  const auto damages = all_damages();
  for (const Op* op : real_ops()) {
    std::string last;
    for (const char* kind : {"contract:", "relation:", "sequence:"}) {
      for (const Case& c : smoke_cases(*op, kind)) {
        if (c.scenario == last) continue;  // one point of each scenario
        last = c.scenario;
        for (const Damage& damage : damages) (void)verdict_on_damage(c, damage);
      }
    }
  }
}

// --- contracts ------------------------------------------------------------------------------------------------------

CallResult refusal_with(const std::string& text) {
  CallResult r;
  r.refusal = text;
  return r;
}

CallResult finding_of(const std::string& check) {
  CallResult r;
  r.findings = {{check, "made up"}};
  return r;
}

TEST(EveryOp, EachContractFailsASetThatBreaksIt) {
  for (const Op* op : real_ops()) {
    int refusals = 0;
    for (const Case& c : smoke_cases(*op, "contract:")) {
      const auto verdict_on = [&](const CallResult& answer) {
        Canned canned(answer);
        return tried(c, canned);
      };
      const CaseResult unnamed = verdict_on(refusal_with("ValueError: 'nonsense': refused"));
      // A legal extreme call may be refused, so the case passes here. But the call must not write outside its memory.
      if (unnamed.verdict != Verdict::kPassed) {
        ++refusals;
        EXPECT_EQ(unnamed.verdict, Verdict::kFailed) << c.id();
        EXPECT_THAT(unnamed.reason, HasSubstr("refusal_names_argument: ")) << c.id();
        const CaseResult accepted = verdict_on({});
        // A tensor with gaps may be accepted, if the outputs are right (derived_test.cpp).
        if (!c.scenario.ends_with("_strided")) {
          EXPECT_EQ(accepted.verdict, Verdict::kFailed) << c.id();
          EXPECT_THAT(accepted.reason, HasSubstr("not_refused: ")) << c.id();
        }
      }
      CallResult late = refusal_with("ValueError: refused");
      late.findings = {{"written_on_refusal", "made up"}};
      EXPECT_THAT(verdict_on(late).reason, HasSubstr("written_on_refusal: ")) << c.id();
      EXPECT_THAT(verdict_on(finding_of("guard")).reason, HasSubstr("guard: ")) << c.id();
    }
    EXPECT_GT(refusals, 0) << op->info().name << " refuses nothing";
  }
}

// --- relations and sequences ----------------------------------------------------------------------------------------

/// is_noticed() tries kTries + 1 elements of a tensor: the first one, the last one, and others at equal distances.
constexpr std::size_t kTries = 8;

/// True if the scenario fails, or a call is refused, after one element in the result of call number `call` was changed.
/// Tries several elements of each tensor.
bool is_noticed(const Case& c, int call) {
  for (std::size_t i = 0, outputs = 1; i < outputs; ++i) {
    for (std::size_t k = 0; k <= kTries; ++k) {
      Tampered tampered([&](int n, CallResult& r) {
        if (n != call) return;
        const auto given = given_back(r);
        outputs = given.size();
        const auto places = i < given.size() ? elements_of(given[i]) : std::vector<std::size_t>{};
        if (!places.empty()) spoil(*given[i].tensor, places[(places.size() - 1) * k / kTries]);
      });
      const CaseResult r = tried(c, tampered);
      if (r.verdict == Verdict::kFailed) return true;
      // The next kernel of a sequence may also refuse a wrong plan.
      if (r.verdict == Verdict::kError && r.reason.find("a valid call was refused") != std::string::npos) return true;
      EXPECT_EQ(r.verdict, Verdict::kPassed) << c.id() << ": " << r.reason;
    }
  }
  return false;
}

/// One case of each scenario of a kind, with the number of calls that it makes on a set without a fault.
std::vector<std::pair<Case, int>> scenarios_of(const Op& op, const std::string& kind) {
  std::vector<std::pair<Case, int>> list;
  for (const Case& c : smoke_cases(op, kind)) {
    if (!list.empty() && list.back().first.scenario == c.scenario) continue;
    Tampered honest([](int, CallResult&) {});
    const CaseResult right = tried(c, honest);
    EXPECT_EQ(right.verdict, Verdict::kPassed) << c.id() << ": " << right.reason;
    EXPECT_GT(honest.calls(), 0) << c.id() << " calls nothing";
    list.emplace_back(c, honest.calls());
  }
  return list;
}

TEST(EveryOp, EachRelationFindsAWrongResultOfAnyOfItsCalls) {
  for (const Op* op : real_ops()) {
    const auto relations = scenarios_of(*op, "relation:");
    EXPECT_FALSE(relations.empty()) << op->info().name;
    for (const auto& [c, calls] : relations) {
      for (int call = 0; call < calls; ++call) {
        EXPECT_TRUE(is_noticed(c, call)) << c.id() << ": no check found that call " << call << " was wrong";
      }
    }
  }
}

/// A sequence compares only the outputs at its end. These outputs may be right after a wrong step. For example, a state
/// row may be written again before it is read, or a plan may be for a request that completes no group. Most wrong steps
/// change the outputs.
TEST(EveryOp, EachSequenceFindsAWrongResultOfMostOfItsCalls) {
  constexpr int kSteps = 7;
  int sequences = 0;
  for (const Op* op : real_ops()) {
    for (const auto& [c, calls] : scenarios_of(*op, "sequence:")) {
      ++sequences;
      int tries = 0, noticed = 0;
      for (int call = 0; call < calls; call += std::max(1, calls / kSteps)) {
        ++tries;
        noticed += is_noticed(c, call) ? 1 : 0;
      }
      EXPECT_GT(2 * noticed, tries) << c.id() << ": only " << noticed << " of " << tries << " wrong results were found";
    }
  }
  EXPECT_GE(sequences, 6);
}

}  // namespace
}  // namespace dsv4::testing
