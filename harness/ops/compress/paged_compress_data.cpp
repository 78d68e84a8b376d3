/// paged_compress_data (V1) finds the state pages that the compressors of a prefill batch read and write. Every number
/// must be exact.
#include <fmt/format.h>

#include <set>

#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kOnlineRing = 1;  ///< state rows of a cache page in online compression

/// The number of the group of the newest of `tokens` tokens, as its first position.
std::int64_t newest_group(std::int64_t tokens, std::int64_t ratio) {
  return tokens <= 0 ? 0 : (tokens - 1) / ratio * ratio;
}

/// A planner of the same step must name the same pages: plan_decode for the lengths with the new tokens, and for those
/// without them. A request without earlier tokens has the pages of a request of length 1.
void equals_decode_plan(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Batch batch = make_batch(x.c.params, x.c.seed);
  const CacheMaps maps = make_maps(batch, x.c.params, x.c.seed);
  Batch before = batch;
  before.seq_lens = batch.prefixes();
  for (std::int64_t& n : before.seq_lens) n = std::max<std::int64_t>(n, 1);
  const Observation got = x.observed("pages", paged_compress_data_call(ratio, batch, maps));
  const auto plan_of = [&](const char* where, const Batch& of) {
    const Call call = decode_plan_call(ratio, of, maps);
    return records_of<layout::DecodePlan>(returned_tensor(x.call(where, call), 0));
  };
  const auto write = plan_of("plan with the new tokens", batch), load = plan_of("plan without them", before);
  if (std::ssize(write) != batch.size() || std::ssize(load) != batch.size()) {
    return x.fail("plan", "plan_decode has another number of rows than the batch");
  }
  HostTensor pages = got.output("write_page"), extra = got.output("extra");
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    const auto i = static_cast<std::size_t>(b);
    set_integer(pages, b, write[i].read_page_1);
    if (ratio == 4) {
      set_integer(extra, 4 * b, load[i].read_page_0);
      set_integer(extra, 4 * b + 1, load[i].read_page_1);
      set_integer(extra, 4 * b + 2, write[i].read_page_0);
    } else {
      set_integer(extra, b, load[i].read_page_1);
    }
  }
  x.expect_agree("pages", got, Observation().add("write_page", std::move(pages)).add("extra", std::move(extra)));
}

/// In the next chunk of a prefill, the pages that a request reads are those that it wrote in this chunk.
void next_chunk(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Batch batch = make_batch(x.c.params, x.c.seed);
  Batch next = batch;
  for (std::size_t b = 0; b < next.seq_lens.size(); ++b) {
    next.extend_lens[b] = static_cast<std::int64_t>(1 + b * 37 % 200);
    next.seq_lens[b] += next.extend_lens[b];
  }
  const CacheMaps maps = make_maps(next, x.c.params, x.c.seed);
  const Observation now = x.observed("this chunk", paged_compress_data_call(ratio, batch, maps));
  const Observation then = x.observed("next chunk", paged_compress_data_call(ratio, next, maps));
  HostTensor want = then.output("extra");
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    const std::int64_t written = integer_at(now.output("write_page"), b);
    set_integer(want, ratio == 4 ? 4 * b + 1 : b, written);
    if (ratio == 4) set_integer(want, 4 * b, integer_at(now.output("extra"), 4 * b + 2));
  }
  x.expect_agree("next chunk", Observation().add("extra", then.output("extra")), Observation().add("extra", want));
}

/// In online compression a state page is a state row. Requests that share no cache page must not share a row.
void own_rows(ScenarioContext& x) {
  const Call call = x.op.make(x.c);
  const Observation got = x.observed("call", call);
  std::set<std::int64_t> rows;
  for (std::int64_t b = 0; b < got.output("write_page").size(0); ++b) {
    const std::int64_t row = integer_at(got.output("write_page"), b);
    if (!rows.insert(row).second) return x.fail("own_rows", fmt::format("two requests write state row {}", row));
  }
  x.compared(got.output("write_page").numel());
}

class PagedCompressData final : public Planner {
 public:
  PagedCompressData()
      : Planner({
            .name = "paged_compress_data",
            .family = "compress",
            .summary = "the state pages that the V1 compressors of a prefill batch read and write",
            .upstream = "triton_create_paged_compress_data",
            .space = Space{ratio_param(),
                           word("ring", {"8", "16", "128", "256"}, "state rows per cache page; 1: online compression",
                                {"1"}),
                           cache_params().at(1), cache_params().at(2),
                           word("index", {"i64", "i32"}, "type of ids, lengths and counts")}
                         .with(edge_batch()),
            .signature = {{in("req_pool_indices", {kI64, kI32}, "requests",
                              {.dtype_of = "index", .index = Index{.limit = "pool"}}),
                           in("seq_lens", {kI64, kI32}, "requests:count",
                              {.dtype_of = "index",
                               .index = Index{.limit = "positions", .count = true},
                               .names = {{"count", "lens_count"}}}),
                           in("extend_lens", {kI64, kI32}, "requests:extend_count", {.dtype_of = "index"}),
                           in("req_to_token", {kI32}, "pool positions", {.index = Index{.limit = "slots"}}),
                           in("full_to_swa", {kI64}, "slots", {.index = Index{}}), integer("compress_ratio"),
                           integer("swa_page_size"), integer("ring_size")},
                          "requests"},
            .smoke = {"", "batch=6 len=3 extend=3", "ratio=128 ring=256 batch=5 len=300 extend=129 index=i32",
                      "ratio=128 ring=1 batch=9 len=600 extend=300"},
            .quick = joined({{"cover"},
                             each({"batch={} len=3 extend=2", "ratio=128 ring=128 batch={} len=200 extend=150"},
                                  {"127", "128", "129", "256", "257", "1025"}),
                             each({"ratio=128 ring=1 page={} batch=33 len=400 extend=129"}, {"16", "64", "128"})}),
            .full = each({"ring=16 batch=2 len={} extend=300 spread=random",
                          "ratio=128 ring=256 batch=1 len={} extend=129 spread=same"},
                         kLongLens),
            .contract_point = "batch=5 len=21",
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.integer("ring") != kOnlineRing) return reject_cache(p, p.integer("ratio"));
    if (p.integer("ratio") != 128) return "online compression has ratio 128";
    return std::nullopt;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    return paged_compress_data_call(c.params.integer("ratio"), batch, make_maps(batch, c.params, c.seed),
                                    c.params.is("index", "i32") ? kI32 : kI64);
  }

  /// A request uses the map entries of the groups of its newest token, with and without its new tokens. At ratio 4 it
  /// also uses those of the groups before.
  [[nodiscard]] std::vector<std::int64_t> indices_of(const Call& call, const std::string& argument,
                                                     std::int64_t row) const override {
    if (argument != "req_to_token" && argument != "full_to_swa") return Op::indices_of(call, argument, row);
    const HostTensor& slots = call.tensor("req_to_token");
    const Batch batch = batch_of(call);
    const auto b = static_cast<std::size_t>(row);
    const std::int64_t ratio = integer_of(call, "compress_ratio"), id = batch.request_ids[b];
    const std::int64_t write = newest_group(batch.seq_lens[b], ratio);
    const std::int64_t load = newest_group(batch.seq_lens[b] - batch.extend_lens[b], ratio);
    std::vector<std::int64_t> elements;
    for (const std::int64_t position : {write, load, write - 4, load - 4}) {
      const std::int64_t p = std::max<std::int64_t>(position, 0);
      if (ratio != 4 && (position == write - 4 || position == load - 4)) continue;
      elements.push_back(argument == "req_to_token" ? id * slots.size(1) + p : slots.at<std::int32_t>(id, p));
    }
    return elements;
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const std::int64_t requests = call.tensor("seq_lens").numel();
    Observation o;
    const auto add = [&](std::size_t i, const char* name, const Shape& shape) {
      const HostTensor returned = returned_tensor(result, i);
      if (returned.dtype != kI32 || returned.shape != shape) {
        o.find("form", fmt::format("{} is {}, expected i32 of {} requests", name, returned.describe(), requests));
      }
      o.add(name, returned);
    };
    add(0, "write_page", {requests});
    add(1, "extra", integer_of(call, "compress_ratio") == 4 ? Shape{requests, 4} : Shape{requests});
    return o;
  }

  /// A single request has one page in each output, and at ratio 128 nothing else.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("batch") == 1;  // few numbers, which may all be 0
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Bytes of an id, a length and a count, the look-ups in both maps, and the numbers of each request.
    const std::int64_t pages = integer_of(call, "compress_ratio") == 4 ? 4 : 2;
    return {.bytes = static_cast<double>(call.tensor("seq_lens").numel() * (24 + pages * (4 + 8) + 4 + pages * 4))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const Points both = at({"batch=33", "ratio=128 ring=256 batch=33 len=300 extend=129"},
                           {"ring=16 page=64 batch=129 len=250", "ratio=128 ring=128 batch=140 len=250 extend=300"});
    std::vector<Scenario> list = Planner::scenarios();
    list.push_back(relation("equals_decode_plan", "the pages are those of plan_decode for the same lengths", both,
                            equals_decode_plan));
    list.push_back(relation("next_chunk", "in the next chunk a request reads the pages that it wrote in this chunk",
                            both, next_chunk));
    list.push_back(relation("own_rows", "in online compression, requests in different cache pages have their own rows",
                            at({"ratio=128 ring=1 batch=9 len=100 extend=60"}, {"ratio=128 ring=1 batch=200 len=130"}),
                            own_rows));
    list.push_back(call_relation("count_types", "the counts of new tokens may have another type than the lengths",
                                 kFirstSmokePoint, [](Case&, Call& call, Observation&) {
                                   call.arg("extend_lens").value = numbers(numbers_of(call, "extend_lens"), kI32);
                                 }));
    list.push_back(many_rows_relation(
        *this, {"page=16 batch=65540 len=3 extend=2 spread=same", "ring=16 batch=2 len=70000 extend=300 spread=same",
                "ratio=128 ring=256 batch=2 len=70000 extend=33000 spread=same"}));
    append(list, far_map_relations(at({"len=250", "ratio=128 ring=256 len=250 extend=129"})));
    return list;
  }
};

DSV4_REGISTER_OP(PagedCompressData);

}  // namespace
}  // namespace dsv4
