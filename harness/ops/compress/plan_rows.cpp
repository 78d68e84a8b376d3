#include "harness/ops/compress/plan_rows.h"

#include <array>
#include <tuple>

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::TokenPlan;
using layout::WritePlan;

/// The entries of a plan, in token order. Findings: sentinel, count, order, range, duplicate.
template <class Record>
std::vector<Record> entries_of(const PrefillPlanPromise& promise, const std::vector<Record>& rows, const char* name,
                               Observation& o) {
  std::vector<Record> entries = valid_entries(rows, name, o);
  const std::int64_t want = promise.plan_rows < 0 ? std::ssize(entries) : promise.plan_rows;
  if (std::ssize(rows) != want) o.find("count", fmt::format("{} has {} rows, expected {}", name, rows.size(), want));
  const auto before = [](const Record& a, const Record& b) {
    return std::tuple(std::uint32_t{a.ragged_id}, std::memcmp(&a, &b, sizeof a)) <
           std::tuple(std::uint32_t{b.ragged_id}, 0);
  };
  if (promise.in_token_order && !std::ranges::is_sorted(entries, before)) {
    o.find("order", fmt::format("{} is not in token order; a plan from lengths on the host must be", name));
  }
  std::ranges::sort(entries, before);
  check_distinct(fmt::format("tokens of {}", name), entries, &Record::ragged_id, promise.batch.tokens(), o);
  return entries;
}

void check_compress_entries(const PrefillPlanPromise& promise, const std::vector<BatchToken>& tokens,
                            const std::vector<CompressPlan>& entries, Observation& o) {
  const std::int64_t ratio = promise.ratio, pages = promise.state_rows / ratio;
  const auto outside = [pages](std::int32_t page) { return page < 0 || page >= pages; };
  for (const CompressPlan& e : entries) {
    if (e.ragged_id >= tokens.size()) continue;  // a finding already
    const BatchToken& t = tokens[e.ragged_id];
    const std::int64_t buffered = window_before_batch(t, ratio);
    if (e.seq_len != t.position + 1 || e.seq_len % ratio != 0 || e.buffer_len != buffered) {
      o.find("content",
             fmt::format("plan_c row of token {}, position {} of request {}: {} window tokens are before the "
                         "batch; the entry has length {} and {} window tokens",
                         t.row, t.position, t.request, buffered, e.seq_len, e.buffer_len));
    } else if ((reads_own_page(e, ratio) && outside(e.read_page_1)) ||
               (reads_page_before(e, ratio) && outside(e.read_page_0))) {
      o.find("range", fmt::format("plan_c row of token {}: it reads pages {} and {}; there are {} pages", t.row,
                                  e.read_page_0, e.read_page_1, pages));
    }
  }
  const auto completes = [ratio](const BatchToken& token) { return (token.position + 1) % ratio == 0; };
  if (const auto want = std::ranges::count_if(tokens, completes); std::ssize(entries) != want) {
    o.find("count", fmt::format("plan_c has {} entries; the batch completes {}", entries.size(), want));
  }
}

void check_write_entries(const PrefillPlanPromise& promise, const std::vector<BatchToken>& tokens,
                         const std::vector<WritePlan>& entries, Observation& o) {
  check_distinct("state rows of plan_w", entries, &WritePlan::write_loc, promise.state_rows, o);
  for (const WritePlan& e : entries) {
    if (e.ragged_id >= tokens.size() || e.write_loc % promise.ratio == tokens[e.ragged_id].position % promise.ratio) {
      continue;
    }
    o.find("content", fmt::format("plan_w: position {} has state row {}; modulo the ratio they differ",
                                  tokens[e.ragged_id].position, e.write_loc));
  }
}

}  // namespace

Observation observe_prefill_plan(const PrefillPlanPromise& promise, const HostTensor& plan_c,
                                 const HostTensor& plan_w) {
  Observation o;
  const auto tokens = tokens_of(promise.batch);
  const auto rows_c = records_of<CompressPlan>(plan_c, "plan_c", o);
  const auto rows_w = records_of<WritePlan>(plan_w, "plan_w", o);
  const auto compress = entries_of(promise, rows_c, "plan_c", o);
  const auto write = entries_of(promise, rows_w, "plan_w", o);
  check_compress_entries(promise, tokens, compress, o);
  check_write_entries(promise, tokens, write, o);
  std::vector<std::array<std::int32_t, 5>> canonical;
  for (const CompressPlan& e : compress) {
    canonical.push_back({e.ragged_id, static_cast<std::int32_t>(e.seq_len), e.buffer_len,
                         reads_page_before(e, promise.ratio) ? e.read_page_0 : -1,
                         reads_own_page(e, promise.ratio) ? e.read_page_1 : -1});
  }
  return o.add("compress_plan", tensor_of_rows(DType::kI32, canonical), true)
      .add("write_plan", tensor_of_rows(DType::kI32, write), true)
      .add("compress_count", numbers({std::ssize(rows_c), std::ssize(compress)}))
      .add("write_count", numbers({std::ssize(rows_w), std::ssize(write)}));
}

Observation observe_token_plans(const PrefillPlanPromise& promise, const CallResult& result) {
  Observation o;
  const auto tokens = tokens_of(promise.batch);
  std::size_t index = 0;
  for (const auto& [name, count] : {std::pair{"compress_plan", "compress_count"}, {"write_plan", "write_count"}}) {
    auto rows = records_of<TokenPlan>(result.tensor(name), name, o);
    const std::int64_t used = returned_integer(result, index++).value_or(-1);
    if (used < 0 || used > std::ssize(rows)) {
      o.find("count", fmt::format("{}: {} used rows were returned; there are {} rows", name, used, rows.size()));
    }
    rows.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(used, 0, std::ssize(rows))));
    const auto entries = entries_of(promise, rows, name, o);
    for (const TokenPlan& e : entries) {
      if (e.ragged_id >= tokens.size()) continue;  // a finding already
      const BatchToken& t = tokens[e.ragged_id];
      if (e.batch_id == t.request && e.position == t.position) continue;
      o.find("content", fmt::format("{}: token {} is position {}, request {}; the entry has position {}, request {}",
                                    name, t.row, t.position, t.request, e.position, e.batch_id));
    }
    o.add(name, tensor_of_rows(DType::kI32, entries), true).add(count, numbers({used, std::ssize(entries)}));
  }
  return o;
}

Observation observe_decode_plan(const Batch& batch, std::int64_t ratio, std::int64_t state_rows,
                                const HostTensor& plan_d) {
  Observation o;
  const auto rows = records_of<DecodePlan>(plan_d, "plan_d", o);
  if (std::ssize(rows) != batch.size()) {
    o.find("count", fmt::format("plan_d has {} rows for {} requests", rows.size(), batch.size()));
  }
  for (std::size_t b = 0; b < std::min(rows.size(), batch.seq_lens.size()); ++b) {
    const DecodePlan& d = rows[b];
    if (d.seq_len != batch.seq_lens[b] || d.read_page_1 != d.write_loc / ratio ||
        d.write_loc % ratio != (batch.seq_lens[b] - 1) % ratio) {
      o.find("content", fmt::format("plan_d row {}: length {}, state row {}, page {}; the request's length is {}", b,
                                    d.seq_len, d.write_loc, d.read_page_1, batch.seq_lens[b]));
    }
    if (d.read_page_0 < 0 || d.read_page_0 >= state_rows / ratio) {
      o.find("range", fmt::format("plan_d row {}: previous page {}, but {} state rows", b, d.read_page_0, state_rows));
    }
  }
  check_distinct("state rows of plan_d", rows, &DecodePlan::write_loc, state_rows, o);
  return o.add("plan", tensor_of_rows(DType::kI32, rows));
}

}  // namespace dsv4
