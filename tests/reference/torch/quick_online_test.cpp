/// Compares the references of online compression with LibTorch on the CPU, on the inputs of every case of the quick
/// tier. The earlier tokens of a group act like one token whose score is the largest one plus the logarithm of the sum.
/// So the result follows from at::softmax and at::logsumexp over all of them.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "interface/compress_plan.h"
#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

template <class Record>
std::vector<Record> plan_of(const HostTensor& plan) {
  const HostTensor packed = plan.packed();
  std::vector<Record> records(packed.storage.size() / sizeof(Record));
  if (!records.empty()) std::memcpy(records.data(), packed.storage.data(), packed.storage.size());
  return records;
}

/// The tensors of a call as doubles. Biased scores are rounded to float, as specified.
struct OnlineCall {
  explicit OnlineCall(const Specimen& s)
      : before(as_double(s.call.tensor("kv_buffer")).squeeze(1)),
        after(as_double(s.result.tensor("kv_buffer")).squeeze(1)),
        entries(as_double(s.result.tensor("kv_output"))),
        input(as_torch(s.call.tensor("kv_input"))),
        ape(as_torch(s.call.tensor("ape"))),
        h(ape.size(1)),
        want(before.clone()) {}

  /// Merges the rows `first` ... `first` + `count` - 1, which begin at `place` of their group, with the slot `from`.
  /// Compares the mean with row `entry` of kv_output, or the whole running softmax with slot `to`.
  void expect(std::int64_t first, std::int64_t count, std::int64_t place, std::int64_t from, std::int64_t to,
              std::optional<std::int64_t> entry) {
    const at::Tensor rows = input.slice(0, first, first + count);
    at::Tensor kv = rows.slice(1, 0, h).to(at::kDouble);
    at::Tensor z = (rows.slice(1, h, 2 * h) + ape.slice(0, place, place + count)).to(at::kDouble);
    at::Tensor largest = at::nan_to_num(z, -kInfinity, kInfinity, -kInfinity).amax(0);
    if (place > 0) {
      const at::Tensor max = before[from].slice(0, 0, h), sum = before[from].slice(0, h, 2 * h);
      kv = at::cat({before[from].slice(0, 2 * h).unsqueeze(0), kv});
      z = at::cat({(max + at::log(sum)).unsqueeze(0), z});
      largest = at::maximum(largest, max);
    }
    const at::Tensor weights = at::softmax(z, 0), mean = (weights * kv).sum(0);
    const at::Tensor sum = at::exp(at::logsumexp(z, 0) - largest);
    // Double arithmetic has an error too. The scores are up to some ten thousands.
    const at::Tensor mean_error = half_float_step(mean) * 1.001 + (weights * at::abs(kv)).sum(0) * 0x1p-36;
    const at::Tensor sum_error = half_float_step(sum) * 1.001 + sum * 0x1p-36;
    if (entry) return expect_near(entries[*entry], mean, mean_error, "kv_output");
    expect_equal(after[to].slice(0, 0, h), largest, "largest scores");
    expect_near(after[to].slice(0, h, 2 * h), sum, sum_error, "sums");
    expect_near(after[to].slice(0, 2 * h), mean, mean_error, "means");
    want[to] = after[to];
  }
  /// The other slots must not change.
  void expect_others() const { expect_equal(after, want, "kv_buffer"); }

  at::Tensor before, after, entries, input, ape;
  std::int64_t h;
  at::Tensor want;  ///< the state before the call, with the compared slots after it
};

TEST(QuickOnlineAgainstTorch, CompressDecode) {
  for_each_quick_case("compress_c128_online_decode", [](const Specimen& s) {
    OnlineCall call(s);
    const auto plan = plan_of<layout::DecodePlan>(s.call.tensor("plan_d"));
    for (std::size_t b = 0; b < plan.size(); ++b) {
      const auto row = static_cast<std::int64_t>(b);
      const bool completes = plan[b].seq_len % 128 == 0;
      call.expect(row, 1, (plan[b].seq_len - 1) % 128, plan[b].read_page_0, plan[b].write_loc,
                  completes ? std::optional(row) : std::nullopt);
    }
    call.expect_others();
  });
}

TEST(QuickOnlineAgainstTorch, CompressPrefill) {
  for_each_quick_case("compress_c128_online_prefill", [](const Specimen& s) {
    OnlineCall call(s);
    for (const char* name : {"plan_c", "plan_w"}) {
      const auto plan = plan_of<layout::CompressPlan>(s.call.tensor(name));
      for (std::size_t k = 0; k < plan.size(); ++k) {
        const layout::CompressPlan& p = plan[k];
        if (p.seq_len == layout::kNoEntry) continue;
        const bool kept = name[5] == 'w';
        call.expect(p.ragged_id + 1 - p.buffer_len, p.buffer_len, (p.seq_len - 1) % 128 + 1 - p.buffer_len,
                    p.read_page_0, p.read_page_0, kept ? std::nullopt : std::optional(static_cast<std::int64_t>(k)));
      }
    }
    call.expect_others();
  });
}

/// A number of an argument i32 [n].
std::int64_t number(const Specimen& s, const char* argument, std::int64_t i) {
  return as_torch(s.call.tensor(argument))[i].item<std::int32_t>();
}

TEST(QuickOnlineAgainstTorch, CompressDecodeV1) {
  for_each_quick_case("compress_c128_online_decode_v1", [](const Specimen& s) {
    OnlineCall call(s);
    for (std::int64_t b = 0; b < call.input.size(0); ++b) {
      const std::int64_t length = number(s, "seq_lens", b), slot = number(s, "indices", b);
      call.expect(b, 1, (length - 1) % 128, slot, slot, length % 128 == 0 ? std::optional(b) : std::nullopt);
    }
    call.expect_others();
  });
}

TEST(QuickOnlineAgainstTorch, CompressPrefillV1) {
  for_each_quick_case("compress_c128_online_prefill_v1", [](const Specimen& s) {
    OnlineCall call(s);
    const char* load = s.call.arg("extra").is_tensor() ? "extra" : "indices";
    for (const std::string name : {"compress_plan", "write_plan"}) {
      for (const layout::TokenPlan& p : plan_of<layout::TokenPlan>(s.call.tensor(name))) {
        if (p.ragged_id == layout::kNoEntry) continue;
        const std::int64_t last = p.ragged_id, tokens = p.window_len, request = p.batch_id;
        call.expect(last + 1 - tokens, tokens, p.position % 128 + 1 - tokens, number(s, load, request),
                    number(s, "indices", request), name == "write_plan" ? std::nullopt : std::optional(last));
      }
    }
    call.expect_others();
  });
}

}  // namespace
}  // namespace dsv4::testing
