#include "harness/ops/compress/plan_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;

HostTensor counts(std::int64_t rows, std::size_t valid) { return numbers({rows, static_cast<std::int64_t>(valid)}); }

/// Entries of C that the batch completes, by the count of each request alone.
std::int64_t completed(const Batch& batch, std::int64_t ratio) {
  std::int64_t n = 0;
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    n += batch.seq_lens[static_cast<std::size_t>(b)] / ratio - batch.prefix(b) / ratio;
  }
  return n;
}

void check_compress_entries(const PrefillPlanPromise& promise, const std::vector<BatchToken>& tokens,
                            const std::vector<CompressPlan>& entries, Observation& o) {
  const std::int64_t window = window_of(promise.ratio);
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const CompressPlan& e = entries[i];
    if (e.ragged_id >= tokens.size()) {
      o.find("range", fmt::format("plan_c row {}: token {} of a batch of {}", i, e.ragged_id, tokens.size()));
      continue;
    }
    if (!seen.insert(e.ragged_id).second) {
      o.find("duplicate", fmt::format("plan_c row {}: token {} has an entry already", i, e.ragged_id));
    }
    const BatchToken& token = tokens[e.ragged_id];
    const std::int64_t buffered = window_before_batch(token.position, promise.batch.prefix(token.request), window);
    if (e.seq_len != token.position + 1 || e.seq_len % promise.ratio != 0 || e.buffer_len != buffered) {
      o.find("content", fmt::format("plan_c row {}: token {} is position {} of request {}, where {} window entries lie "
                                    "before the batch; the entry says length {} and {} entries",
                                    i, e.ragged_id, token.position, token.request, buffered, e.seq_len, e.buffer_len));
      continue;
    }
    const std::int64_t pages = promise.state_rows / promise.ratio;
    const auto outside = [&](std::int32_t page) { return page < 0 || page >= pages; };
    if ((reads_own_page(e, promise.ratio) && outside(e.read_page_1)) ||
        (reads_page_before(e, promise.ratio) && outside(e.read_page_0))) {
      o.find("range", fmt::format("plan_c row {}: pages {} and {} of {}", i, e.read_page_0, e.read_page_1, pages));
    }
  }
  if (const std::int64_t want = completed(promise.batch, promise.ratio); std::ssize(entries) != want) {
    o.find("count", fmt::format("plan_c has {} entries; the batch completes {}", entries.size(), want));
  }
}

void check_write_entries(const PrefillPlanPromise& promise, const std::vector<BatchToken>& tokens,
                         const std::vector<WritePlan>& entries, Observation& o) {
  std::set<std::uint32_t> seen;
  std::map<std::int32_t, std::uint32_t> owner;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const WritePlan& e = entries[i];
    if (e.ragged_id >= tokens.size()) {
      o.find("range", fmt::format("plan_w row {}: token {} of a batch of {}", i, e.ragged_id, tokens.size()));
      continue;
    }
    if (e.write_loc < 0 || e.write_loc >= promise.state_rows) {
      o.find("range", fmt::format("plan_w row {}: state row {} of {}", i, e.write_loc, promise.state_rows));
      continue;
    }
    if (!seen.insert(e.ragged_id).second) {
      o.find("duplicate", fmt::format("plan_w row {}: token {} is kept already", i, e.ragged_id));
    }
    if (const auto [at, fresh] = owner.emplace(e.write_loc, e.ragged_id); !fresh && at->second != e.ragged_id) {
      o.find("duplicate", fmt::format("plan_w row {}: tokens {} and {} both go to state row {}", i, at->second,
                                      e.ragged_id, e.write_loc));
    }
    if (e.write_loc % promise.ratio != tokens[e.ragged_id].position % promise.ratio) {
      o.find("content", fmt::format("plan_w row {}: position {} goes to state row {}, another place in its page", i,
                                    tokens[e.ragged_id].position, e.write_loc));
    }
  }
}

/// Sorts by token; a finding if it was not, where that is promised.
template <class Record>
void into_token_order(std::vector<Record>& entries, bool promised, const char* name, Observation& o) {
  const auto before = [](const Record& a, const Record& b) {
    return std::tuple(std::uint32_t{a.ragged_id}, std::memcmp(&a, &b, sizeof a)) <
           std::tuple(std::uint32_t{b.ragged_id}, 0);
  };
  if (promised && !std::ranges::is_sorted(entries, before)) {
    o.find("order", std::string(name) + " is not in token order, as a plan from lengths on the host is");
  }
  std::ranges::sort(entries, before);
}

HostTensor canonical(const std::vector<CompressPlan>& entries, std::int64_t ratio) {
  HostTensor out = HostTensor::make(DType::kI32, {std::ssize(entries), 5});
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const CompressPlan& e = entries[i];
    auto* row = &out.at<std::int32_t>(i, 0);
    row[0] = e.ragged_id;
    row[1] = static_cast<std::int32_t>(e.seq_len);
    row[2] = e.buffer_len;
    row[3] = reads_page_before(e, ratio) ? e.read_page_0 : -1;
    row[4] = reads_own_page(e, ratio) ? e.read_page_1 : -1;
  }
  return out;
}

HostTensor canonical(const std::vector<WritePlan>& entries) {
  HostTensor out = HostTensor::make(DType::kI32, {std::ssize(entries), 2});
  for (std::size_t i = 0; i < entries.size(); ++i) {
    out.at<std::int32_t>(i, 0) = static_cast<std::int32_t>(entries[i].ragged_id);
    out.at<std::int32_t>(i, 1) = entries[i].write_loc;
  }
  return out;
}

}  // namespace

Observation observe_prefill_plan(const PrefillPlanPromise& promise, const HostTensor& plan_c,
                                 const HostTensor& plan_w) {
  Observation o;
  const auto tokens = tokens_of(promise.batch);
  const auto rows_c = records_of<CompressPlan>(plan_c, "plan_c", o);
  const auto rows_w = records_of<WritePlan>(plan_w, "plan_w", o);
  auto valid_c = valid_entries(rows_c, "plan_c", o);
  auto valid_w = valid_entries(rows_w, "plan_w", o);
  const auto check_rows = [&](const char* name, std::size_t rows, std::size_t valid) {
    const std::size_t want = promise.plan_rows < 0 ? valid : static_cast<std::size_t>(promise.plan_rows);
    if (rows != want) o.find("count", fmt::format("{} has {} rows, expected {}", name, rows, want));
  };
  check_rows("plan_c", rows_c.size(), valid_c.size());
  check_rows("plan_w", rows_w.size(), valid_w.size());
  into_token_order(valid_c, promise.in_token_order, "plan_c", o);
  into_token_order(valid_w, promise.in_token_order, "plan_w", o);
  check_compress_entries(promise, tokens, valid_c, o);
  check_write_entries(promise, tokens, valid_w, o);
  o.add("compress_plan", canonical(valid_c, promise.ratio));
  o.add("write_plan", canonical(valid_w));
  o.add("compress_count", counts(std::ssize(rows_c), valid_c.size()));
  o.add("write_count", counts(std::ssize(rows_w), valid_w.size()));
  return o;
}

Observation observe_decode_plan(const Batch& batch, std::int64_t ratio, std::int64_t state_rows,
                                const HostTensor& plan_d) {
  Observation o;
  const auto rows = records_of<DecodePlan>(plan_d, "plan_d", o);
  if (std::ssize(rows) != batch.size()) {
    o.find("count", fmt::format("plan_d has {} rows for {} requests", rows.size(), batch.size()));
  }
  HostTensor out = HostTensor::make(DType::kI32, {std::ssize(rows), 4});
  std::map<std::int32_t, std::size_t> owner;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    const DecodePlan& d = rows[b];
    std::memcpy(&out.at<std::int32_t>(b, 0), &d, sizeof d);
    if (b >= batch.seq_lens.size()) continue;
    if (d.seq_len != batch.seq_lens[b] || d.read_page_1 != d.write_loc / ratio ||
        d.write_loc % ratio != (batch.seq_lens[b] - 1) % ratio) {
      o.find("content", fmt::format("plan_d row {}: length {}, state row {}, page {}; the request's length is {}", b,
                                    d.seq_len, d.write_loc, d.read_page_1, batch.seq_lens[b]));
    }
    if (d.write_loc < 0 || d.write_loc >= state_rows || d.read_page_0 < 0 || d.read_page_0 >= state_rows / ratio) {
      o.find("range", fmt::format("plan_d row {}: state row {}, page before {}, of {} rows", b, d.write_loc,
                                  d.read_page_0, state_rows));
    }
    if (const auto [at, fresh] = owner.emplace(d.write_loc, b); !fresh) {
      o.find("duplicate", fmt::format("plan_d rows {} and {} both write state row {}", at->second, b, d.write_loc));
    }
  }
  o.add("plan", std::move(out));
  return o;
}

}  // namespace dsv4
