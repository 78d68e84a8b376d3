/// The entries of known_faults.json, against results that are wrong in more than the entry says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "harness/run/trial.h"
#include "tests/harness/ops/specimen.h"
#include "tests/harness/run/known_support.h"

namespace dsv4::testing {
namespace {

/// A set whose functions give the reference's results, which `change` then changes.
class ChangedReference final : public Caller {
 public:
  using Change = std::function<void(const Call&, CallResult&)>;
  explicit ChangedReference(Change change) : change_(std::move(change)) {}
  CallResult call(const Call& call, const CallOptions& options) override {
    CallResult result = reference_set().call(call, {.poison = options.poison});
    if (call.aux.empty() && !result.refusal) change_(call, result);
    return result;
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return false; }
  [[nodiscard]] bool has_device() const override { return true; }
  [[nodiscard]] bool shows_overlap() const override { return true; }

 private:
  Change change_;
  std::string name_ = "changed";
};

std::vector<std::int64_t> numbers_in(const HostTensor& t) {
  return {t.data<std::int64_t>(), t.data<std::int64_t>() + t.numel()};
}

HostTensor& tensor(CallResult& result, const std::string& name) {
  return std::ranges::find(result.args, name, &Arg::name)->tensor();
}

/// Tries a case on a changed reference that counts as sglang of this version.
CaseResult tried(const std::string& id, const std::string& version, ChangedReference::Change change) {
  ChangedReference subject(std::move(change));
  const Policy policy{
      .known = KnownFaults::load(source_folder() + "/known_faults.json"),
      .subject = {.label = "changed", .package = "sglang", .version = version, .device = "simt", .ops = {}}};
  return try_case(checked_case(id), {subject, reference_set(), reference_set()}, policy);
}

std::string hash_id(const char* fill, const char* scenario = "") {
  return fmt::format(
      "hash_topk/{}tokens=5,k=6,shared=1,experts=256,vocab=1000,scale=1500,table=distinct,fill={}/seed=1", scenario,
      fill);
}

/// Divides 0 by 0 where all weights of a token underflow, as sglang does before 0.5.23.
void empty_is_nan(const Call& call, CallResult& result) {
  HostTensor& weights = tensor(result, "topk_weights");
  for (std::int64_t t = 0; t < weights.size(0); ++t) {
    float sum = 0;
    for (int j = 0; j < 6; ++j) sum += weights.at<float>(t, j);
    for (int j = 0; sum == 0 && j < 6; ++j) weights.at<float>(t, j) = std::nanf("");
  }
  ASSERT_EQ(call.op, "hash_topk");
}

TEST(KnownFaultsOfOps, OnlyNanWeightsOfTokensWithoutWeightAreExcused) {
  const CaseResult known = tried(hash_id("underflow"), "0.5.13", empty_is_nan);
  ASSERT_EQ(known.verdict, Verdict::kKnown) << known.reason;
  EXPECT_EQ(known.known_fault, "hash-empty-token");
  const OutputReport& weights = known.outputs.at(1);
  EXPECT_EQ(weights.name, "weights");
  EXPECT_GT(weights.excused, 0);
  EXPECT_LT(weights.excused, weights.compared);
  EXPECT_EQ(weights.excused % 6, 0) << "the routed weights of whole tokens";

  const CaseResult garbage = tried(hash_id("underflow"), "0.5.13", [](const Call&, CallResult& result) {
    HostTensor& w = tensor(result, "topk_weights");
    for (std::int64_t i = 0; i < w.numel(); ++i) w.data<float>()[i] += 0.5f;
  });
  EXPECT_EQ(garbage.verdict, Verdict::kFailed);
  EXPECT_EQ(garbage.outputs.at(1).excused, 0) << "only NaN is what the fault gives";
  EXPECT_EQ(garbage.outputs.at(1).violations, weights.compared);
  // The weight of the shared expert is not a routed weight.
  const CaseResult shared = tried(hash_id("underflow"), "0.5.13", [](const Call& call, CallResult& result) {
    empty_is_nan(call, result);
    for (std::int64_t t = 0; t < 5; ++t) tensor(result, "topk_weights").at<float>(t, 6) *= 2;
  });
  EXPECT_EQ(shared.verdict, Verdict::kFailed);
  EXPECT_EQ(tried(hash_id("underflow"), "0.5.23", empty_is_nan).verdict, Verdict::kFailed) << "mended in 0.5.23";
}

/// Adds `added` to the sum of each token's weights before the division.
ChangedReference::Change with_sum_plus(double added) {
  return [added](const Call& call, CallResult& result) {
    HostTensor& weights = tensor(result, "topk_weights");
    const HostTensor &ids = tensor(result, "topk_ids"), &logits = call.tensor("router_logits");
    const std::int64_t k = call.tensor("tid2eid").size(1);
    for (std::int64_t t = 0; t < weights.size(0); ++t) {
      std::vector<double> w;
      double sum = added;
      for (std::int64_t j = 0; j < k; ++j) {
        const double x = logits.at<float>(t, ids.at<std::int32_t>(t, j));
        const double e = std::exp(-std::fabs(x)) < 0x1p-150 ? 0.0 : std::exp(-std::fabs(x));
        w.push_back(std::sqrt(std::max(x, 0.0) + std::log1p(e)));
        sum += w.back();
      }
      for (std::int64_t j = 0; j < k; ++j)
        weights.at<float>(t, j) = static_cast<float>(w[static_cast<std::size_t>(j)] / sum);
    }
  };
}

TEST(KnownFaultsOfOps, ASumPlus1e20IsKnownFromTheReleaseThatAddsIt) {
  const std::string equal_logits = hash_id("gauss", "relation:equal_logits/");
  const CaseResult known = tried(equal_logits, "0.5.23", with_sum_plus(1e-20));
  EXPECT_EQ(known.verdict, Verdict::kKnown) << known.reason;
  EXPECT_EQ(known.known_fault, "hash-added-to-sum");
  EXPECT_EQ(tried(equal_logits, "0.5.13", with_sum_plus(1e-20)).verdict, Verdict::kFailed);
  EXPECT_EQ(tried(equal_logits, "0.5.23", with_sum_plus(2e-20)).verdict, Verdict::kFailed) << "another addend";
  EXPECT_EQ(tried(equal_logits, "0.5.23", with_sum_plus(1e-6)).verdict, Verdict::kFailed);
  EXPECT_EQ(tried(hash_id("gauss"), "0.5.23", with_sum_plus(1e-20)).verdict, Verdict::kPassed)
      << "it makes no difference";
}

std::string prefill_id(const char* point) {
  return Case{"plan_prefill", "", find_op("plan_prefill")->params_at(point), 1}.id();
}

/// Removes from the write plan the records of the tokens for which `remove` is true.
void remove_rows(CallResult& result, const std::function<bool(std::int64_t)>& remove) {
  auto& plan = std::get<HostTensor>(result.returned.at(1));
  std::vector<std::uint8_t> kept;
  for (std::int64_t i = 0; i < plan.size(0); ++i) {
    std::uint32_t token = 0;
    std::memcpy(&token, plan.element(8 * i), sizeof token);
    if (!remove(token)) kept.insert(kept.end(), plan.element(8 * i), plan.element(8 * i) + 8);
  }
  plan = HostTensor::make(DType::kU8, {std::ssize(kept) / 8, 8});
  plan.storage = kept;
}

TEST(KnownFaultsOfOps, OfAPlanOnlyTheRowsForVerifyStepsMayBeMissing) {
  // Lengths of 255 and more at ratio 128: some rows are kept only for verify steps.
  const std::string id = prefill_id("ratio=128 ring=256 batch=3 len=255 extend=130 mix=last_differs");
  const CheckedCase c = checked_case(id);
  const HostTensor pad = c.definition->element_facts(c, c.definition->make(c)).at("pad_token");
  const auto is_pad = [&](std::int64_t token) { return pad.at<std::int64_t>(token) == 1; };
  const CaseResult known = tried(id, "0.5.13", [&](const Call&, CallResult& r) { remove_rows(r, is_pad); });
  EXPECT_EQ(known.verdict, Verdict::kKnown) << known.reason;
  EXPECT_EQ(known.known_fault, "plan-host-pad");
  bool removed = false;
  const CaseResult failed = tried(id, "0.5.13", [&](const Call&, CallResult& r) {
    remove_rows(r, [&](std::int64_t token) { return is_pad(token) || (!std::exchange(removed, true)); });
  });
  EXPECT_EQ(failed.verdict, Verdict::kFailed) << "one more row is missing";
  EXPECT_EQ(failed.known_fault, "plan-host-pad");
  EXPECT_EQ(tried(id, "0.5.23", [&](const Call&, CallResult& r) { remove_rows(r, is_pad); }).verdict, Verdict::kFailed);
}

/// Replaces the row addresses of a decode plan: request id * ring + position mod ring, plus `off`.
ChangedReference::Change request_ring(std::int32_t off) {
  return [off](const Call& call, CallResult& result) {
    auto& plan = std::get<HostTensor>(result.returned.at(0));
    const auto ring = std::get<std::int64_t>(call.arg("ring_size").value);
    if (std::get<std::int64_t>(call.arg("compress_ratio").value) != 128) return;
    for (std::int64_t b = 0; b < plan.size(0); ++b) {
      const std::int64_t id = call.tensor("req_pool_indices").at<std::int64_t>(b);
      const std::int64_t newest = call.tensor("seq_lens").at<std::int64_t>(b) - 1;
      const std::int64_t before = std::max<std::int64_t>(newest - 128, 0);
      const auto row = [&](std::int64_t p) { return static_cast<std::int32_t>(id * ring + p % ring); };
      const std::int32_t fields[] = {row(newest) + 128 * off, row(before) / 128, row(newest) / 128 + off};
      std::memcpy(plan.element(16 * b + 4), fields, sizeof fields);
    }
  };
}

TEST(KnownFaultsOfOps, AddressesInARingOfTheRequestAreKnownAtRatio128) {
  const Op& op = *find_op("plan_decode");
  const auto id = [&](const char* point) { return Case{"plan_decode", "", op.params_at(point), 1}.id(); };
  const std::string wide = id("ratio=128 ring=256 batch=5 len=126");
  const CaseResult known = tried(wide, "0.5.16", request_ring(0));
  EXPECT_EQ(known.verdict, Verdict::kKnown) << known.reason;
  EXPECT_EQ(known.known_fault, "plan-c128-request-ring");
  EXPECT_EQ(tried(wide, "0.5.16", request_ring(1)).verdict, Verdict::kFailed) << "another address";
  EXPECT_EQ(tried(wide, "0.5.14", request_ring(0)).verdict, Verdict::kFailed);
  EXPECT_EQ(tried(id("batch=5 len=21"), "0.5.16", request_ring(0)).verdict, Verdict::kPassed)
      << "ratio 4 has not changed";
}

// The reference refuses such a call, so a case cannot show which elements are excused.
TEST(KnownFaultsOfOps, APositionOutsideTheTableIsAFactOfItsToken) {
  const Op& op = *find_op("fused_rope");
  const Case c{"fused_rope", "", op.params_at("layout=gaps"), 1};
  Call call = op.make(c);
  call.arg("positions").tensor() = HostTensor::of<std::int32_t>(DType::kI32, {0, -1, 300, 1 << 30, 299});
  const HostTensor outside = op.element_facts(c, call).at("position_outside");
  EXPECT_EQ(numbers_in(outside), (std::vector<std::int64_t>{0, 1, 1, 1, 0}));
}

TEST(KnownFaultsOfOps, ARowWithASmallThresholdBinIsNotExcusedByAnother) {
  const Op& op = *find_op("topk_v1");
  // The scores of `cluster` lie close together. The second of the mixed lengths is k + 1.
  const std::string id = Case{"topk_v1", "", op.params_at("batch=3 len=32768 raw=1 lens=mixed fill=cluster"), 1}.id();
  const CheckedCase c = checked_case(id);
  const Call call = op.make(c);
  const HostTensor bins = op.element_facts(c, call).at("threshold_bin");
  ASSERT_GT(bins.at<std::int64_t>(0), 8192);
  ASSERT_LE(bins.at<std::int64_t>(1), 8192);
  // Selects the last position of the row instead of one that was selected.
  const auto off = [&](std::int64_t row) {
    return tried(id, "0.5.13", [row](const Call& made, CallResult& result) {
      HostTensor &raw = tensor(result, "raw_indices"), &slots = tensor(result, "page_indices");
      const auto length = made.tensor("seq_lens").at<std::int32_t>(row);
      const auto page_size = static_cast<std::int32_t>(std::get<std::int64_t>(made.arg("page_size").value));
      std::vector<bool> taken(static_cast<std::size_t>(length));
      for (std::int64_t j = 0; j < raw.size(1); ++j)
        taken[static_cast<std::size_t>(raw.at<std::int32_t>(row, j))] = true;
      const auto worst = static_cast<std::int32_t>(std::ranges::find(taken, false) - taken.begin());
      // The best position is lost.
      std::int64_t best = 0;
      for (std::int64_t j = 0; j < raw.size(1); ++j) {
        if (made.tensor("scores").at<float>(row, raw.at<std::int32_t>(row, j)) >
            made.tensor("scores").at<float>(row, raw.at<std::int32_t>(row, best)))
          best = j;
      }
      raw.at<std::int32_t>(row, best) = worst;
      slots.at<std::int32_t>(row, best) =
          made.tensor("page_table").at<std::int32_t>(row, worst / page_size) * page_size + worst % page_size;
    });
  };
  EXPECT_EQ(off(0).verdict, Verdict::kKnown) << off(0).reason;
  EXPECT_EQ(off(1).verdict, Verdict::kFailed) << off(1).reason;
}

}  // namespace
}  // namespace dsv4::testing
