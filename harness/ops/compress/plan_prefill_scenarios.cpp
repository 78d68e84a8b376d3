#include "harness/ops/compress/plan_prefill_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::WritePlan;

/// A plan's entries by (request id, position): what stays when requests change their places in a batch. Page fields
/// that nobody reads are masked.
Observation by_request(const Batch& batch, std::int64_t ratio, const CallResult& result) {
  Observation o;
  const auto tokens = tokens_of(batch);
  std::vector<std::array<std::int32_t, 5>> compress;
  std::vector<std::array<std::int32_t, 3>> write;
  const auto owner = [&](std::uint32_t token) {
    const BatchToken t = token < tokens.size() ? tokens[token] : BatchToken{0, -1};
    return std::pair(static_cast<std::int32_t>(batch.request_ids[static_cast<std::size_t>(t.request)]),
                     static_cast<std::int32_t>(t.position));
  };
  for (const CompressPlan& e : records_of<CompressPlan>(returned_tensor(result, 0), "plan_c", o)) {
    if (is_sentinel(e)) continue;
    const auto [id, position] = owner(e.ragged_id);
    compress.push_back({id, position, e.buffer_len, reads_page_before(e, ratio) ? e.read_page_0 : -1,
                        reads_own_page(e, ratio) ? e.read_page_1 : -1});
  }
  for (const WritePlan& e : records_of<WritePlan>(returned_tensor(result, 1), "plan_w", o)) {
    if (is_sentinel(e)) continue;
    const auto [id, position] = owner(e.ragged_id);
    write.push_back({id, position, e.write_loc});
  }
  const auto tensor = [](auto& rows) {
    std::ranges::sort(rows);
    HostTensor t =
        HostTensor::make(DType::kI32, {std::ssize(rows), static_cast<std::int64_t>(rows.empty() ? 1 : rows[0].size())});
    if (!rows.empty()) std::memcpy(t.storage.data(), rows.data(), rows.size() * sizeof(rows[0]));
    return t;
  };
  o.add("compress_plan", tensor(compress));
  o.add("write_plan", tensor(write));
  return o;
}

Scenario batch_permutation(const Op& op) {
  return relation("batch_permutation", "requests in another order keep their entries: only rows in the batch change",
                  op.at({"batch=9 len=250 extend=9",
                         "ratio=128 ring=256 lens=device graph=1 batch=40 len=250 spread=random extend=5"}),
                  [](ScenarioContext& x) {
                    const Call call = x.op.make(x.c);
                    const std::int64_t ratio = x.c.params.integer("ratio");
                    const Batch batch = batch_of(call);
                    const Batch other = batch.permuted(Random(x.c.seed, "permutation").permutation(batch.size()));
                    Call permuted = call;
                    permuted.arg("req_pool_indices").tensor() = numbers(other.request_ids);
                    permuted.arg("seq_lens").tensor() = numbers(other.seq_lens);
                    permuted.arg("extend_lens").tensor() = numbers(other.extend_lens);
                    x.expect_agree("permuted", by_request(other, ratio, x.call("permuted", permuted)),
                                   by_request(batch, ratio, x.call("original", call)));
                  });
}

Scenario one_request_differs(const Op& op) {
  return relation(
      "one_request_differs",
      "one token more of the last request (which may select another path of the planner) leaves the others alone",
      op.at({"ring=16 lens=device graph=1 batch=9 len=250 extend=4 mix=uniform",
             "ratio=128 ring=256 lens=device graph=1 batch=33 len=120 extend=8 mix=uniform",
             "lens=device graph=1 len=60 extend=32 mix=uniform"}),
      [](ScenarioContext& x) {
        const Call call = x.op.make(x.c);
        Batch batch = batch_of(call);
        const auto others = [](const Observation& o, std::int64_t tokens) {
          Observation kept;
          for (const char* name : {"compress_plan", "write_plan"}) {
            const HostTensor& t = o.output(name);
            std::int64_t n = 0;
            while (n < t.size(0) && t.at<std::int32_t>(n, 0) < tokens) ++n;
            HostTensor rows = HostTensor::make(DType::kI32, {n, t.size(1)});
            std::memcpy(rows.storage.data(), t.storage.data(), rows.storage.size());
            kept.add(name, std::move(rows));
          }
          kept.findings = o.findings;
          return kept;
        };
        // The last request begins one token earlier: no map changes.
        Call longer = call;
        const std::int64_t before_last = batch.tokens() - batch.extend_lens.back();
        ++batch.extend_lens.back();
        longer.arg("extend_lens").tensor() = numbers(batch.extend_lens);
        longer.arg("num_q_tokens").value = batch.tokens();
        x.expect_agree("other requests", others(x.observed("one token more", longer), before_last),
                       others(x.observed("uniform", call), before_last));
      });
}

/// Requests that grow step by step, planned by the subject, with a slot map that watches.
class History {
 public:
  History(ScenarioContext& x, std::int64_t longest)
      : x_(x),
        ratio_(x.c.params.integer("ratio")),
        slots_(ratio_),
        requests_(make_batch(x.c.params, x.c.seed)),
        maps_(make_maps(requests_.request_ids, std::vector<std::int64_t>(requests_.request_ids.size(), longest),
                        pool_size(requests_.size()), longest, x.c.params.integer("page"), x.c.params.integer("ring"),
                        true, x.c.seed)) {
    requests_.seq_lens.assign(requests_.request_ids.size(), 0);
  }

  [[nodiscard]] const Batch& requests() const { return requests_; }
  [[nodiscard]] std::int64_t length(std::int64_t b) const { return requests_.seq_lens[static_cast<std::size_t>(b)]; }

  /// Plans `extend[b]` more tokens of each request; requests without tokens are left out of the batch.
  void prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
    Batch batch;
    for (std::size_t b = 0; b < extend.size(); ++b) {
      requests_.seq_lens[b] += extend[b];
      if (extend[b] == 0) continue;
      batch.request_ids.push_back(requests_.request_ids[b]);
      batch.seq_lens.push_back(requests_.seq_lens[b]);
      batch.extend_lens.push_back(extend[b]);
    }
    if (batch.size() == 0) return;
    const PrefillPlanForm form{.ratio = ratio_,
                               .lens_on_device = x_.c.params.is("lens", "device"),
                               .use_cuda_graph = x_.c.params.flag("graph")};
    const Call call = prefill_plan_call(form, batch, maps_);
    const CallResult result = x_.call(where, call);
    Observation o = x_.op.observe(x_.c, call, result);
    Observation own;
    slots_.read(batch,
                valid_entries(records_of<CompressPlan>(returned_tensor(result, 0), "plan_c", own), "plan_c", own),
                where, o);
    slots_.write(batch, valid_entries(records_of<WritePlan>(returned_tensor(result, 1), "plan_w", own), "plan_w", own),
                 where, o);
    report(o);
  }

  /// Plans one token of each request by plan_decode.
  void decode(const std::string& where) {
    for (std::int64_t& n : requests_.seq_lens) ++n;
    Batch batch = requests_;
    batch.extend_lens.assign(batch.seq_lens.size(), 1);
    const CallResult result = x_.call(where, decode_plan_call(ratio_, batch, maps_));
    Observation o = observe_decode_plan(batch, ratio_, maps_.rows(), returned_tensor(result, 0));
    Observation own;
    slots_.decode(batch, records_of<layout::DecodePlan>(returned_tensor(result, 0), "plan_d", own), where, o);
    report(o);
  }

  void take_back(std::int64_t b, std::int64_t length) {
    requests_.seq_lens[static_cast<std::size_t>(b)] = length;
    slots_.take_back(requests_.request_ids[static_cast<std::size_t>(b)], length);
  }

  /// What later entries of the requests, and of such as reuse a prefix of theirs, need is in the state.
  void check_kept(const std::string& where) {
    Observation o;
    const auto row = [this](std::int64_t request, std::int64_t p) { return maps_.row(request, p); };
    for (std::int64_t b = 0; b < requests_.size(); ++b) {
      const std::int64_t id = requests_.request_ids[static_cast<std::size_t>(b)];
      slots_.check_live(id, length(b), row, where, o);
      if (ratio_ == 4) slots_.check_page_tails(id, length(b), maps_.page_size, row, where, o);
    }
    report(o);
    x_.compared(slots_.checked());
  }

 private:
  void report(const Observation& o) {
    for (const Finding& f : o.findings) x_.fail(f.check, f.detail);
  }

  ScenarioContext& x_;
  std::int64_t ratio_;
  SlotMap slots_;
  Batch requests_;
  CacheMaps maps_;
};

Scenario rollback(const Op& op) {
  return sequence(
      "rollback",
      "a verify step of `extend` draft tokens, of which 1 ... all are accepted, loses no row that later entries need",
      op.at({"lens=device graph=1 batch=9 len=1 extend=2 mix=uniform",
             "ring=16 lens=device graph=1 batch=9 len=250 extend=4 mix=uniform",
             "ring=16 batch=9 len=13 extend=4 mix=uniform",
             "ratio=128 ring=128 lens=device graph=1 batch=9 len=120 extend=1 mix=uniform",
             // Forty requests that all cross position 128: whichever drafts are accepted, some step is taken back
             // across it.
             "ratio=128 ring=256 lens=device graph=1 batch=40 len=90 extend=4 mix=uniform",
             "ratio=128 ring=256 batch=40 len=90 extend=4 mix=uniform"}),
      [](ScenarioContext& x) {
        constexpr int kSteps = 16;
        const std::int64_t drafts = x.c.params.integer("extend");
        const Batch start = make_batch(x.c.params, x.c.seed);
        History history(x, start.longest() + kSteps * drafts);
        history.prefill(start.seq_lens, "prefill");
        Random random(x.c.seed, "accepted");
        const std::vector<std::int64_t> verify(static_cast<std::size_t>(start.size()), drafts);
        for (int step = 0; step < kSteps; ++step) {
          history.prefill(verify, fmt::format("verify step {}", step));
          for (std::int64_t b = 0; b < start.size(); ++b) {
            history.take_back(b, history.length(b) - drafts + random.between(1, drafts));
          }
          history.check_kept(fmt::format("after verify step {}", step));
        }
      });
}

Scenario chunked_prefill(const Op& op) {
  return sequence(
      "chunked_prefill",
      "prefill in chunks, then decode: each entry finds its window in the state, and all that is live or a "
      "page's end stays there",
      op.at({"len=530 extend=70", "ring=16 lens=device graph=1 len=270 extend=9",
             "ratio=128 ring=128 len=530 extend=200", "ratio=128 ring=256 lens=device graph=1 len=390 extend=70"}),
      [](ScenarioContext& x) {
        constexpr int kDecodes = 12;
        const Batch whole = make_batch(x.c.params, x.c.seed);
        History history(x, whole.longest() + kDecodes);
        Random random(x.c.seed, "chunks");
        for (int chunk = 0;; ++chunk) {
          std::vector<std::int64_t> extend;
          for (std::int64_t b = 0; b < whole.size(); ++b) {
            const std::int64_t left = whole.seq_lens[static_cast<std::size_t>(b)] - history.length(b);
            extend.push_back(std::min(left, random.between(1, x.c.params.integer("extend"))));
          }
          if (std::ranges::all_of(extend, [](std::int64_t n) { return n == 0; })) break;
          history.prefill(extend, fmt::format("chunk {}", chunk));
          history.check_kept(fmt::format("after chunk {}", chunk));
        }
        for (int step = 0; step < kDecodes; ++step) {
          history.decode(fmt::format("decode step {}", step));
          history.check_kept(fmt::format("after decode step {}", step));
        }
      });
}

/// What planners refuse, beyond the derived contracts; and the same of lengths on the device, under names of their own.
std::vector<Scenario> argument_contracts(const Op& op) {
  std::vector<Scenario> list;
  Contracts contracts(list);
  add_prefill_plan_contracts(contracts);
  add_swa_address_contracts(contracts);
  contracts.integer("ratio_0", "a ratio of zero is refused, not divided by", "compress_ratio", 0);
  contracts.misplaced("extend_lens_on_device", "one kind of length on the device, the other on the host, is refused",
                      "extend_lens", Place::kDevice);

  Contracts device(list, op.at({"lens=device graph=1"}));
  device.misplaced("device_req_pool_indices_on_host", "a tensor in the wrong memory is refused, not dereferenced",
                   "req_pool_indices", Place::kHost);
  device.edge("device_no_requests", "a batch of nothing: nothing is written, or the call is refused",
              [&op](Call& call) { keep_batch(op, call, {}); });
  device.edge("device_requests_1025", "more requests than a block has threads: right, or a clean refusal",
              [](Call& call) {
                Batch batch;
                for (std::int64_t b = 0; b < 1025; ++b) {
                  batch.request_ids.push_back(b);
                  batch.seq_lens.push_back(1 + b % 9);
                  batch.extend_lens.push_back(1);
                }
                const CacheMaps maps = make_maps(batch.request_ids, batch.seq_lens, 1025, 9, 16, 8, true, 1);
                call = prefill_plan_call({.ratio = 4, .lens_on_device = true, .use_cuda_graph = true}, batch, maps);
              });
  return list;
}

}  // namespace

std::vector<Scenario> plan_prefill_scenarios(const Op& op) {
  std::vector<Scenario> all = argument_contracts(op);
  all.push_back(host_equals_device(
      op.at({"graph=1 batch=9 len=250 extend=9", "ring=16 graph=1 batch=9 len=1 extend=4 mix=uniform",
             "ratio=128 ring=128 graph=1 batch=9 len=124 extend=130",
             "ratio=128 ring=256 graph=1 batch=9 len=124 extend=4 mix=uniform",
             "ratio=128 ring=256 graph=1 batch=40 len=250 extend=5 mix=last_differs"})));
  // On a device many threads make one plan: more requests than a warp, and than a block, with other lengths in each.
  all.push_back(
      repeat_relation(op.at({"", "ratio=128 ring=256 lens=device graph=1 batch=40 len=250 extend=5 mix=last_differs",
                             "ring=16 lens=device graph=1 batch=300 len=9 extend=5 slack=3",
                             "lens=device graph=1 batch=1024 len=9 spread=random extend=3 mix=some_empty"})));
  for (auto make : {batch_permutation, one_request_differs, rollback, chunked_prefill}) {
    all.push_back(make(op));
  }
  for (Scenario& s : far_map_relations(
           op.at({"batch=9 len=250 extend=9", "ratio=128 ring=128 lens=device graph=1 batch=9 len=124 extend=9"}))) {
    all.push_back(std::move(s));
  }
  return all;
}

}  // namespace dsv4
