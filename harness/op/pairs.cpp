#include "harness/op/pairs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/op/records.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

/// What the producer made, as the consumer gets it.
struct Produced {
  std::vector<HostTensor> tensors;
  std::vector<std::vector<std::uint8_t>> late;  ///< as LateWrites::returned, for each tensor
};

/// Contents that the memory of a produced tensor may hold when the producer has not written its late bytes. In
/// `moved`, rows hold those of other rows. All values are ordinary: as an index, they cannot crash the process.
enum class Before { kZeros, kMoved };

std::vector<std::uint8_t> before_late_writes(const HostTensor& t, const std::vector<std::uint8_t>& late,
                                             Before before) {
  std::vector<std::uint8_t> other(t.storage.size());
  if (before == Before::kMoved && t.size(0) > 1) {
    other = t.storage;
    const auto row = std::ssize(other) / t.size(0);
    std::rotate(other.begin(), other.begin() + row * (t.size(0) / 2), other.end());
  }
  // A field has at most four bytes. If only some of them are late, the field has no defined value before.
  constexpr std::size_t kWord = 4;
  std::vector<std::uint8_t> earlier = t.storage;
  for (std::size_t i = 0; i < late.size(); ++i) {
    if (late[i] == 0) continue;
    const std::size_t word = i / kWord * kWord, end = std::min(word + kWord, earlier.size());
    std::copy(other.begin() + static_cast<std::ptrdiff_t>(word), other.begin() + static_cast<std::ptrdiff_t>(end),
              earlier.begin() + static_cast<std::ptrdiff_t>(word));
  }
  return earlier;
}

class PairRun {
 public:
  PairRun(ScenarioContext& x, const Pair& pair) : x_(x), pair_(pair) {
    sets_.push_back(&x.subject);
    if (x.other != nullptr) sets_.push_back(x.other);
  }

  void run() {
    for (Caller* from : sets_) {
      const std::optional<Produced> produced = produce(*from);
      if (!produced) continue;
      const Call call = fitted_call(*produced);
      const Observation want = x_.expected(call);
      for (Caller* to : sets_) consume(*from, *to, call, *produced, want);
    }
    if (ran_.empty() && !not_run_.empty())
      throw Unsupported(fmt::format("no mix of {} can run: {}", name(), fmt::join(not_run_, "; ")));
    if (sets_.size() == 1) {
      return x_.tell(
          fmt::format("a pair of kernels ran in 1 of 4 mixes, both from '{}'; for the others, name a second "
                      "kernel set of the host executor with --against",
                      x_.subject.name()));
    }
    x_.tell(fmt::format("{}: ran {} of 4 mixes ({}){}", name(), ran_.size(), fmt::join(ran_, ", "), why_not_all()));
  }

 private:
  [[nodiscard]] std::string name() const { return fmt::format("{} -> {}", pair_.producer, x_.op.info().name); }

  [[nodiscard]] std::string why_not_all() const {
    return not_run_.empty() ? "" : fmt::format("; not run: {}", fmt::join(not_run_, "; "));
  }

  std::optional<Produced> produce(Caller& set) {
    const std::string where = fmt::format("{}({})", pair_.producer, set.name());
    Produced produced;
    try {
      const Call call = pair_.produce(x_.c);
      const CallResult result = set.call(call, {.watch_late_writes = true});
      if (result.refusal) {
        x_.fail("refused", fmt::format("{}: a valid call was refused: {}", where, *result.refusal));
        return std::nullopt;
      }
      if (!is_right(where, call, result)) return std::nullopt;
      for (std::size_t i = 0; i < pair_.takes.size(); ++i) {
        if (pair_.makes.empty()) {
          produced.tensors.push_back(returned_tensor(result, i));
          produced.late.push_back(late_bytes(result.late.returned, i));
        } else {
          const auto made = std::ranges::find(result.args, pair_.makes[i], &Arg::name);
          produced.tensors.push_back(made->tensor());
          produced.late.push_back(late_bytes(result.late.args, static_cast<std::size_t>(made - result.args.begin())));
        }
      }
    } catch (const Unsupported& e) {
      not_run_.push_back(fmt::format("{}: {}", where, e.what()));
      return std::nullopt;
    }
    return produced;
  }

  static std::vector<std::uint8_t> late_bytes(const std::vector<std::vector<std::uint8_t>>& all, std::size_t i) {
    return i < all.size() ? all[i] : std::vector<std::uint8_t>{};
  }

  /// The consumer's call. Fitting it may make another plan for the same rows, but the call keeps the one that was made.
  Call fitted_call(const Produced& produced) const {
    Call call = pair_.consume(x_.c, produced.tensors);
    const Call given = call;
    x_.op.fit(call);
    for (const std::string& name : pair_.takes) call.arg(name).tensor() = given.tensor(name);
    return call;
  }

  /// Checks what the producer made. With a wrong plan, the consumer could access any memory.
  bool is_right(const std::string& where, const Call& call, const CallResult& result) {
    const Op* producer = find_op(pair_.producer);
    if (producer == nullptr) return true;  // only in tests
    const Observation made = producer->observe(x_.c, call, result);
    for (const Finding& f : made.findings) x_.fail(f.check, fmt::format("{}: {}", where, f.detail));
    if (!made.findings.empty()) return false;
    x_.expect_agree(where, made, producer->observe(x_.c, call, x_.reference.call(call)));
    return true;
  }

  void consume(Caller& from, Caller& to, const Call& call, const Produced& produced, const Observation& want) {
    const std::string mix = fmt::format("{} -> {}", from.name(), to.name());
    const std::string where =
        fmt::format("{}({}) -> {}({})", pair_.producer, from.name(), x_.op.info().name, to.name());
    try {
      if (std::ranges::all_of(produced.late,
                              &std::vector<std::uint8_t>::empty)) {  // all of it is written before the consumer begins
        compare(where, to, call, {}, want);
      } else {
        for (const Before before : {Before::kZeros, Before::kMoved}) {
          CallOptions options;
          for (std::size_t i = 0; i < pair_.takes.size(); ++i) {
            if (produced.late[i].empty()) continue;
            options.late.push_back({pair_.takes[i], before_late_writes(produced.tensors[i], produced.late[i], before)});
          }
          compare(
              fmt::format("{}, late fields were {}", where, before == Before::kZeros ? "zeros" : "those of other rows"),
              to, call, options, want);
        }
      }
      ran_.push_back(mix);
    } catch (const Unsupported& e) {
      not_run_.push_back(fmt::format("{}: {}", where, e.what()));
    }
  }

  void compare(const std::string& where, Caller& to, const Call& call, const CallOptions& options,
               const Observation& want) {
    const CallResult result = to.call(call, options);
    if (result.refusal) {
      x_.fail("refused", fmt::format("{}: a valid call was refused: {}", where, *result.refusal));
      return;
    }
    x_.about(call);  // known faults may concern elements of this call
    Observation got = x_.op.observe(x_.c, call, result);
    got.findings.insert(got.findings.begin(), result.findings.begin(), result.findings.end());
    x_.expect_agree(where, got, want, x_.op.tolerances(x_.c, call, result, got, x_.reference));
  }

  ScenarioContext& x_;
  const Pair& pair_;
  std::vector<Caller*> sets_;
  std::vector<std::string> ran_;
  std::vector<std::string> not_run_;
};

}  // namespace

Scenario pair_relation(Pair pair) {
  const std::string producer = pair.producer;
  Points points = pair.points;
  Scenario made = relation("after_" + producer,
                           fmt::format("right also if {} may still be writing when the call begins, in each mix of the "
                                       "set under test and the other kernel set",
                                       producer),
                           std::move(points), [pair = std::move(pair)](ScenarioContext& x) { PairRun(x, pair).run(); });
  made.needs_overlap = true;
  return made;
}

Scenario writes_before_next_relation(Points points) {
  const auto run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const Observation want = x.observed("alone", call);
    const CallResult result = x.call("watched", call, {.watch_late_writes = true});
    x.expect_agree("watched", x.op.observe(x.c, call, result), want);
    if (x.subject.writes_before_next()) return fail_each(x, result.late.findings);
    if (!result.late.findings.empty()) {
      x.tell(
          fmt::format("a kernel of '{}' writes after it let the next kernel begin. CUDA allows this, because the "
                      "next kernel must wait; only in-tree sets promise more",
                      x.subject.name()));
    }
  };
  Scenario made = relation("writes_before_next", "no kernel writes after it has let the stream's next kernel begin",
                           std::move(points), run);
  made.needs_overlap = true;
  return made;
}

}  // namespace dsv4
