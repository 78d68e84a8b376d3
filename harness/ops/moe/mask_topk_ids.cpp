/// mask_topk_ids: the expert ids of padding tokens become -1, in place. Exact; nothing else may change.
#include <algorithm>

#include "harness/case/covering.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

/// Where the count lives: on the device it is read by the kernel, on the host it is read by the launcher.
struct CountForm {
  DType dtype;
  Place place;
};

CountForm form_of(const Params& p) {
  if (p.is("count", "device_i32")) return {DType::kI32, Place::kDevice};
  if (p.is("count", "host_i32")) return {DType::kI32, Place::kHost};
  return {DType::kI64, Place::kHost};
}

class MaskTopkIds final : public Op {
 public:
  [[nodiscard]] const OpInfo& info() const override {
    static const OpInfo kInfo{
        .name = "mask_topk_ids",
        .family = "moe",
        .summary = "set the expert ids of padding tokens to -1, in place",
        .upstream = "mask_topk_ids",
        .abis = {"mask_topk_ids/1"},
        .params = {ParamSpec::integer("rows", 1, 1 << 20, "tokens", {1, 2, 3, 4, 5, 127, 128, 129, 1024}),
                   ParamSpec::integer("k", 1, 32, "expert ids of a token", {1, 6, 7, 8, 31, 32}),
                   ParamSpec::integer("gap", 0, 64, "unused columns between rows", {0, 1, 5}),
                   ParamSpec::integer("real", -(1LL << 31), (1LL << 31) - 1, "tokens that are not padding",
                                      {-1, 0, 1, 2}),
                   ParamSpec::choice("count", {"device_i32", "host_i32", "host_i64"},
                                     "where and as what the count is given")},
        .host_note = "everything is shown on a CPU"};
    return kInfo;
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) return {point(5, 6, 0, 3, "device_i32"), point(4, 8, 2, 1, "host_i64")};
    std::vector<Params> all;
    const std::vector<std::int64_t> rows = tier == Tier::kQuick
                                               ? std::vector<std::int64_t>{1, 2, 3, 4, 5, 31, 128, 129}
                                               : std::vector<std::int64_t>{1, 4, 255, 256, 257, 1024, 4097, 32768};
    for (const std::int64_t n : rows) {
      // The counts around every edge: negative is a huge unsigned number, beyond the rows is no padding at all.
      for (const Params& p :
           pairwise({axis("k", {1, 6, 8, 32}), axis("gap", {0, 3}), axis("real", {-1, 0, 1, n - 1, n, n + 1}),
                     axis("count", {std::string("device_i32"), "host_i32", "host_i64"})})) {
        all.push_back(point(n, p.integer("k"), p.integer("gap"), p.integer("real"), p.text("count")));
      }
    }
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t rows = p.integer("rows"), k = p.integer("k"), stride = k + p.integer("gap");
    HostTensor ids = HostTensor::strided(DType::kI32, {rows, k}, {stride, 1}, 0, rows * stride);
    poison(ids);
    Random random(c.seed, "topk_ids");
    for (std::int64_t i = 0; i < ids.numel(); ++i) {
      const auto id = static_cast<std::int32_t>(random.below(256));
      std::memcpy(ids.element(i), &id, sizeof id);
    }
    const CountForm form = form_of(p);
    HostTensor count = HostTensor::make(form.dtype, {1});
    const std::int64_t real = p.integer("real");
    std::memcpy(count.data<std::uint8_t>(), &real, static_cast<std::size_t>(size_of(form.dtype)));
    return {"mask_topk_ids", "", {}, {inout("topk_ids", ids), in("num_token_non_padded", count, form.place)}};
  }

  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    return Observation().add("topk_ids", result.tensor("topk_ids").packed());
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    // Everything is padding; or nothing is, and few ids happen to be one and the same.
    const Params& p = c.params;
    if (p.integer("real") == 0) return true;
    if (p.integer("rows") * p.integer("k") > 16) return false;
    const HostTensor ids = make(c).tensor("topk_ids").packed();
    const auto* const first = ids.data<std::int32_t>();
    return std::all_of(first, first + ids.numel(), [&](std::int32_t id) { return id == *first; });
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto real = static_cast<std::uint32_t>(c.params.integer("real"));
    const auto padding = std::max<std::int64_t>(0, c.params.integer("rows") - static_cast<std::int64_t>(real));
    return {.bytes = 4.0 * static_cast<double>(padding * c.params.integer("k")), .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list;
    Contracts contracts(list);
    // The first smoke point: 5 tokens of 6 ids, the count on the device.
    contracts.replaced("ids_dtype", "64-bit ids are refused, not read as pairs", "topk_ids",
                       HostTensor::make(DType::kI64, {5, 6}));
    contracts.replaced("ids_rank", "ids must be a matrix", "topk_ids", HostTensor::make(DType::kI32, {5}));
    contracts.replaced("ids_wide", "33 ids a token are more than a warp holds", "topk_ids",
                       HostTensor::make(DType::kI32, {5, 33}));
    contracts.replaced("ids_columns_strided", "ids of a row must be adjacent", "topk_ids",
                       HostTensor::strided(DType::kI32, {5, 6}, {12, 2}, 0, 60));
    contracts.replaced("count_size", "the count is one number", "num_token_non_padded",
                       HostTensor::make(DType::kI32, {2}));
    contracts
        .replaced("count_device_i64", "a 64-bit count on the device is refused, not truncated", "num_token_non_padded",
                  HostTensor::make(DType::kI64, {1}))
        .needs_device = true;
    contracts.refused("count_dtype", "a count that is no integer is refused", "num_token_non_padded", [](Call& call) {
      call.arg("num_token_non_padded").tensor() = HostTensor::make(DType::kF32, {1});
      call.arg("num_token_non_padded").place = Place::kHost;
    });
    contracts.edge("no_rows", "no tokens: nothing to do, or a clean refusal",
                   [](Call& call) { keep_rows(call, {"topk_ids"}, {}); });
    list.push_back(relation("count_forms", "the count on the device, on the host as i32 and as i64 mask the same ids",
                            kFirstSmokePoint, [](ScenarioContext& x) {
                              Observation first;
                              for (const char* form : {"device_i32", "host_i32", "host_i64"}) {
                                Case c = x.c;
                                c.params.set("count", form);
                                const Call call = x.op.make(c);
                                const Observation o = x.observed(c, form, call);
                                if (first.outputs.empty()) first = o;
                                x.expect_agree(form, o, first);
                              }
                            }));
    list.push_back(
        relation("count_cut", "of a 64-bit count the low 32 bits count", kFirstSmokePoint, [](ScenarioContext& x) {
          Case c = x.c;
          c.params.set("count", "host_i64");
          const Call call = x.op.make(c);
          Call beyond = call;
          beyond.arg("num_token_non_padded").tensor().at<std::int64_t>(0) += 1LL << 32;
          x.expect_agree("count + 2^32", x.observed(c, "count + 2^32", beyond), x.observed(c, "count", call));
        }));
    list.push_back(far_relation("topk_ids", "rows of ids 2^31 elements apart", only({point(3, 6, 0, 1, "device_i32")}),
                                move_apart("topk_ids")));
    return list;
  }

 private:
  static Params point(std::int64_t rows, std::int64_t k, std::int64_t gap, std::int64_t real,
                      const std::string& count) {
    return Params().set("rows", rows).set("k", k).set("gap", gap).set("real", real).set("count", count);
  }
};

DSV4_REGISTER_OP(MaskTopkIds);

}  // namespace
}  // namespace dsv4
