#include "harness/op/op.h"

#include <gtest/gtest.h>

#include "harness/core/error.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

/// A set that writes one number into every element, or refuses the call. It keeps the options of its last call.
class Writer final : public Caller {
 public:
  Writer(std::string name, std::int32_t number) : name_(std::move(name)), number_(number) {}

  std::optional<std::string> refusal;
  CallOptions options;

  CallResult call(const Call& call, const CallOptions& with) override {
    options = with;
    Call done = call;
    HostTensor& y = done.arg("y").tensor();
    for (std::int64_t i = 0; i < y.numel(); ++i) y.data<std::int32_t>()[i] = number_;
    return {.args = done.args, .returned = {}, .findings = {}, .refusal = refusal, .late = {}};
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return true; }

 private:
  std::string name_;
  std::int32_t number_;
};

/// Observes the first element of the result, and the number of rows of the case.
class FirstAndRows final : public PlusOp {
 public:
  [[nodiscard]] Observation observe(const Case& c, const Call&, const CallResult& result) const override {
    return Observation().add(
        "seen", HostTensor::of<std::int64_t>(DType::kI64,
                                             {result.tensor("y").at<std::int32_t>(0, 0), c.params.integer("rows")}));
  }
};

using Seen = std::vector<std::int64_t>;

Seen seen(const Observation& o) {
  const HostTensor& t = o.output("seen");
  return {t.at<std::int64_t>(0), t.at<std::int64_t>(1)};
}

class ContextOfAScenario : public ::testing::Test {
 protected:
  ContextOfAScenario() : x_(op_, case_, subject_, reference_) { changed_.params.set("rows", 5); }

  FirstAndRows op_;
  Case case_{"plus", "relation:any", op_.points(Tier::kSmoke).front(), 1};
  Case changed_ = case_;
  Writer subject_{"subject", 7}, reference_{"reference", 8};
  Recorder x_;
};

TEST_F(ContextOfAScenario, ObservesTheSetUnderTestAndExpectsTheReference) {
  const Call call = op_.make(case_);
  EXPECT_EQ(seen(x_.observed("step", call)), (Seen{7, 12}));
  EXPECT_EQ(seen(x_.expected(call)), (Seen{8, 12}));
}

TEST_F(ContextOfAScenario, ACallOfAnotherCaseIsObservedAsThatCase) {
  const Call call = op_.make(changed_);
  EXPECT_EQ(seen(x_.observed(changed_, "step", call)), (Seen{7, 5}));
  EXPECT_EQ(seen(x_.expected(changed_, call)), (Seen{8, 5}));
}

TEST_F(ContextOfAScenario, OptionsReachTheSetUnderTest) {
  const Call call = op_.make(case_);
  x_.observed("step", call, {.poison = 3, .schedule = 4});
  EXPECT_EQ(subject_.options.poison, 3U);
  EXPECT_EQ(subject_.options.schedule, 4U);
  x_.observed(changed_, "step", call, {.poison = 5, .schedule = 6});
  EXPECT_EQ(subject_.options.poison, 5U);
  EXPECT_EQ(subject_.options.schedule, 6U);
}

TEST_F(ContextOfAScenario, ARefusalByTheReferenceIsAnError) {
  reference_.refusal = "'x' must be contiguous";
  try {
    x_.expected(op_.make(case_));
    FAIL() << "expected() must throw if the reference refuses the call";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the reference refused a valid call: 'x' must be contiguous");
  }
}

}  // namespace
}  // namespace dsv4::testing
