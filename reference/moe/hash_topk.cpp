/// Reference of hash_topk, and the error bound of its weights. It looks up experts by token id, weights them by
/// sqrt(softplus(logit)), and normalises the weights of each token (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/hash_topk.cuh:16-19 and :52-65).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "interface/entry.h"
#include "reference/common/cuda_accuracy.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "hash_topk";

/// The arguments and their checks.
struct Arguments {
  View<const float, 2> logits;          ///< [tokens, experts]
  View<const std::int64_t, 1> tokens;   ///< [tokens]: the row of `experts` for each token
  View<const std::int32_t, 2> experts;  ///< [vocabulary, k]
  View<float, 2> weights;               ///< [tokens, k + shared], out
  View<std::int32_t, 2> ids;            ///< same shape, out

  Arguments(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
            TensorView topk_ids)
      : logits(kOp, "router_logits", router_logits),
        tokens(kOp, "input_id", input_id),
        experts(kOp, "tid2eid", tid2eid),
        weights(kOp, "topk_weights", topk_weights),
        ids(kOp, "topk_ids", topk_ids) {
    logits.expect_contiguous();
    tokens.expect_size(0, logits.size(0)).expect_contiguous();
    experts.expect_contiguous();
    weights.expect_size(0, logits.size(0)).expect_contiguous();
    ids.expect_size(0, logits.size(0)).expect_size(1, weights.size(1)).expect_contiguous();
    if (experts.size(1) > weights.size(1)) {
      refuse(kOp, "tid2eid",
             "expected at most " + std::to_string(weights.size(1)) +
                 " columns, the number of columns of the outputs, got " + std::to_string(experts.size(1)));
    }
  }

  [[nodiscard]] std::int64_t k() const { return experts.size(1); }
  [[nodiscard]] std::int64_t shared() const { return weights.size(1) - k(); }
  /// Returns the experts of a token. They are -1 if the table does not have the token's id.
  [[nodiscard]] Eigen::ArrayX<std::int32_t> experts_of(std::int64_t token) const {
    const std::int64_t id = tokens(token);
    if (id < 0 || id >= experts.size(0)) return Eigen::ArrayX<std::int32_t>::Constant(k(), -1);
    return row_of(experts, id);
  }
  [[nodiscard]] bool has_expert(std::int32_t expert) const { return expert >= 0 && expert < logits.size(1); }
};

/// Returns exp(-|x|). A result below half of the smallest positive float becomes zero, as in float arithmetic. The op's
/// results for very negative logits depend on this.
double decay(double x) {
  const double e = std::exp(-std::fabs(x));
  return e < 0x1p-150 ? 0.0 : e;
}

double weight_of(float x) {
  if (std::isnan(x)) return x;
  return std::sqrt(std::max<double>(x, 0.0) + std::log1p(decay(x)));
}

/// Returns the weights of a token's experts before they are normalised.
Eigen::ArrayXd weights_of(const Arguments& a, std::int64_t token) {
  return a.experts_of(token).unaryExpr(
      [&](std::int32_t expert) { return a.has_expert(expert) ? weight_of(a.logits(token, expert)) : 0.0; });
}

/// What upstream adds to the sum of a token's weights since 0.5.23 (hash_topk.cuh of 0.5.23, line 16).
constexpr double kAddedToSum = 1e-20f;

/// Writes ids and weights. `added` is added to the sum by which the weights of a token are divided.
void write_all(const Arguments& a, float routed_scaling_factor, double added) {
  for (std::int64_t token = 0; token < a.logits.size(0); ++token) {
    const Eigen::ArrayXd w = weights_of(a, token);
    const double sum = sum_in_order(w) + added;
    auto ids = row_of(a.ids, token);
    ids.head(a.k()) = a.experts_of(token);
    std::iota(ids.begin() + a.k(), ids.end(), static_cast<std::int32_t>(a.logits.size(1)));
    auto weights = row_of(a.weights, token);
    weights = 0.0f;
    if (sum != 0.0) weights.head(a.k()) = (w / sum).cast<float>();
    weights.tail(a.shared()) = 1.0f / routed_scaling_factor;
  }
}

/// hash_topk: writes the experts of each token and their weights. The weight of expert j is w_j divided by the sum of
/// the token's w, with w = sqrt(softplus(logit)).
///
/// If a row of `tid2eid` has the same expert twice, both are kept and both count. The shared experts come after the
/// routed experts. They have the ids E, E+1, ..., and each has the weight 1 / routed_scaling_factor. This factor does
/// not change the routed weights. If every logit of a token is below about -103.98, all w are 0, and the routed weights
/// of the token are 0. If a logit is NaN, all routed weights of the token are NaN. If a single logit is +inf, its own
/// weight is NaN and the other routed weights are 0.
///
/// Ids are on the device, so a kernel's host code cannot check them. If the table does not have a token's id, the
/// routed experts of the token are -1, and their weights are 0. If an expert of the table is not in [0, E), its id is
/// copied, and its w is 0.
///
/// @param router_logits  f32 [tokens, E], contiguous; only the logits of the token's experts are read
/// @param input_id       i64 [tokens], contiguous: the row of tid2eid for each token
/// @param tid2eid        i32 [vocabulary, k], contiguous: expert ids in [0, E)
/// @param topk_weights   f32 [tokens, k + shared], contiguous, out
/// @param topk_ids       i32 of the same shape, contiguous, out
void hash_topk(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
               TensorView topk_ids, float routed_scaling_factor) {
  write_all(Arguments(router_logits, input_id, tid2eid, topk_weights, topk_ids), routed_scaling_factor, 0.0);
}

/// The same with the sum of 0.5.23. If all w of a token are 0, so are its routed weights.
void with_added(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
                TensorView topk_ids, float routed_scaling_factor) {
  write_all(Arguments(router_logits, input_id, tid2eid, topk_weights, topk_ids), routed_scaling_factor, kAddedToSum);
}

/// The range of values that a computation in float may give.
struct Range {
  double low;
  double high;
};

/// Returns the distance from float(|x|) to the next larger float. CUDA documents the errors of its functions in this
/// unit. For subnormal floats, it is 2^-149.
double ulp(double x) {
  const int exponent = x == 0.0 ? -126 : std::max(std::ilogb(x), -126);
  return std::ldexp(1.0, exponent - 23);
}

/// Returns the range of the weight that an implementation may compute for logit x before it normalises. CUDA documents
/// errors of 2 ulp for expf and 1 ulp for log1pf (CUDA C++ Programming Guide, mathematical functions). The sum with
/// max(x, 0) and the square root are correctly rounded. The range is computed with whole ulps instead of relative
/// errors. Below x = -87.3, exp(x) is a subnormal float with few bits. There one ulp is a large relative error, so the
/// range becomes wider.
Range weight_range(float x) {
  if (std::isinf(x)) return {weight_of(x), weight_of(x)};
  const double e = decay(x);
  const double e_error = e == 0.0 ? 0.0 : 2.0 * ulp(e);
  const double low = std::log1p(std::max(e - e_error, 0.0));
  const double high = std::log1p(e + e_error);
  const double positive = std::max<double>(x, 0.0);
  // log1p(0) is exactly 0, and the sum with a zero max(x, 0) is exact.
  const double log_error_low = low == 0.0 ? 0.0 : ulp(low);
  const double log_error_high = high == 0.0 ? 0.0 : ulp(high);
  const double rounding = positive == 0.0 ? 0.0 : kRoundingError;
  const double softplus_low = std::max(low - log_error_low, 0.0) + positive;
  const double softplus_high = high + log_error_high + positive;
  return {std::sqrt(softplus_low * (1.0 - rounding)) * (1.0 - kRoundingError),
          std::sqrt(softplus_high * (1.0 + rounding)) * (1.0 + kRoundingError)};
}

/// Returns the greatest distance between `value`, the reference's weight of expert j, and a weight that an
/// implementation may give. The implementation may add the k terms of the sum in any order: one after another, as a
/// tree, or in any other way with k - 1 additions.
///
/// Let u = 2^-24. A float addition of a and b gives (a + b) (1 + d) with |d| <= u. In a sum of k terms, each term
/// passes through at most k - 1 additions. So the computed sum is sum w_i D_i, where each D_i is between (1 - u)^(k-1)
/// and (1 + u)^(k-1). No w_i is negative, so the computed sum is the exact sum times a factor between the same two
/// limits. Additions of 0, for lanes without an expert, are exact. The division rounds once more, which is a factor
/// between 1 - u and 1 + u. If the quotient is subnormal, its rounding error is at most 2^-150 instead.
///
/// The exact quotient is w_j / (w_j + the sum of the other w). It is least if w_j is least and all other w are
/// greatest. It is greatest if w_j is greatest and all other w are least. `added` is one more term of the sum, or 0.
double weight_bound(const std::vector<Range>& ranges, std::size_t j, float value, double added) {
  double others_low = added;
  double others_high = added;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i == j) continue;
    others_low += ranges[i].low;
    others_high += ranges[i].high;
  }
  const Range own = ranges[j];
  const auto additions = static_cast<double>(ranges.size() - (added == 0.0 ? 1 : 0));
  const double least_factor = (1.0 - kRoundingError) / std::pow(1.0 + kRoundingError, additions);
  const double greatest_factor = (1.0 + kRoundingError) / std::pow(1.0 - kRoundingError, additions);
  constexpr double kSubnormalRounding = 0x1p-150;
  const double least = own.low == 0.0 ? 0.0 : own.low / (own.low + others_high) * least_factor - kSubnormalRounding;
  const double most = own.high == 0.0 ? 0.0 : own.high / (own.high + others_low) * greatest_factor + kSubnormalRounding;
  return std::max(most - value, value - least);
}

/// Replaces the weights, which write_all() wrote, by bounds.
void write_bounds(const Arguments& a, double added) {
  for (std::int64_t token = 0; token < a.logits.size(0); ++token) {
    std::vector<Range> ranges;
    bool finite = true;
    for (std::int64_t j = 0; j < a.k(); ++j) {
      const std::int32_t expert = a.ids(token, j);
      if (!a.has_expert(expert)) {
        ranges.push_back({0.0, 0.0});
        continue;
      }
      const float x = a.logits(token, expert);
      finite = finite && !std::isnan(x) && x != std::numeric_limits<float>::infinity();
      ranges.push_back(weight_range(x));
    }
    for (std::int64_t j = 0; j < a.weights.size(1); ++j) {
      const bool exact = j >= a.k() || !finite;
      const double b = exact ? 0.0 : weight_bound(ranges, static_cast<std::size_t>(j), a.weights(token, j), added);
      // The factor rounds up, so that the conversion to float does not make the bound smaller.
      a.weights(token, j) = static_cast<float>(b * (1.0 + 0x1p-23));
    }
  }
}

/// Computes a bound on |kernel - reference| for every weight of hash_topk. The arguments are those of hash_topk.
/// topk_weights receives the bounds, and topk_ids receives the ids.
///
/// - The bound is 0 if the weight is specified exactly: for shared experts, and for the routed experts of a token with
///   a NaN or +inf logit. A kernel must give the same weight.
/// - Otherwise, the bound is the greatest distance that the errors of expf, log1pf, sqrt, the sum in any order and the
///   division allow. It includes the rounding of the reference itself.
void bound(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
           TensorView topk_ids, float routed_scaling_factor) {
  const Arguments a(router_logits, input_id, tid2eid, topk_weights, topk_ids);
  write_all(a, routed_scaling_factor, 0.0);
  write_bounds(a, 0.0);
}

/// The bound for with_added().
void bound_with_added(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
                      TensorView topk_ids, float routed_scaling_factor) {
  const Arguments a(router_logits, input_id, tid2eid, topk_weights, topk_ids);
  write_all(a, routed_scaling_factor, kAddedToSum);
  write_bounds(a, kAddedToSum);
}

DSV4_ENTRY(hash_topk, hash_topk, "hash_topk", "hash_topk/1", "");
DSV4_AUX(hash_topk_bound, bound, "hash_topk", "bound", "");
DSV4_AUX(hash_topk_added, with_added, "hash_topk", "divisor_1e-20", "");
DSV4_AUX(hash_topk_added_bound, bound_with_added, "hash_topk", "divisor_1e-20_bound", "");

}  // namespace
}  // namespace dsv4::reference
