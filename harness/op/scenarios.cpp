#include "harness/op/scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "harness/generate/random.h"
#include "harness/op/rows.h"

namespace dsv4 {

Points only(std::vector<Params> points, std::vector<Params> more) {
  return [points = std::move(points), more = std::move(more)](Tier tier) {
    if (tier == Tier::kSmoke) return points;
    return tier == Tier::kQuick ? more : std::vector<Params>{};
  };
}

Scenario relation(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run) {
  return {Scenario::Kind::kRelation, std::move(name), std::move(meaning), std::move(points), std::move(run)};
}

Scenario sequence(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run) {
  return {Scenario::Kind::kSequence, std::move(name), std::move(meaning), std::move(points), std::move(run)};
}

Scenario repeat_relation(Points points) {
  const auto run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const Observation first = x.observed("first", call, {.poison = 0, .schedule = 0});
    for (std::uint32_t i = 1; i <= 3; ++i) {
      const CallOptions options{.poison = i, .schedule = x.c.seed * 1000 + i};
      const Observation again = x.observed(fmt::format("repeat {}", i), call, options);
      x.expect_agree(fmt::format("repeat {}", i), again, first);
    }
  };
  return relation("repeat", "the same call with another poison and schedule gives the same outputs, bit for bit",
                  std::move(points), run);
}

namespace {

Scenario overlap_relation(std::string name, std::string meaning, Points points,
                          std::function<void(ScenarioContext&)> run) {
  Scenario added = relation(std::move(name), std::move(meaning), std::move(points), std::move(run));
  added.needs_overlap = true;
  return added;
}

/// The bytes of about half of a tensor's storage. They are whole rows, so that a field of a record is not moved to the
/// place of another field. A tensor with one row, or with gaps, is divided between elements.
std::ptrdiff_t half_of(const HostTensor& t) {
  constexpr std::ptrdiff_t kWhole = 8;  // bytes; a multiple of the size of every element
  const auto bytes = std::ssize(t.storage);
  if (t.rank() == 0 || t.size(0) < 2 || !t.contiguous()) return bytes / 2 / kWhole * kWhole;
  return bytes / t.size(0) * (t.size(0) / 2);
}

}  // namespace

Scenario late_relation(const std::string& argument, Points points) {
  const auto run = [argument](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const Observation want = x.observed("alone", call);
    // Before the previous kernel writes the argument, it contains zeros, or its own values at other places. A previous
    // step may leave such contents in memory. A kernel that reads the argument too early gives a wrong answer. Values
    // that never occur in the argument are not used here, because as an index they could crash the process.
    const auto& now = call.tensor(argument).storage;
    std::vector<std::uint8_t> moved = now;
    std::rotate(moved.begin(), moved.begin() + half_of(call.tensor(argument)), moved.end());
    for (const auto& [what, earlier] :
         {std::pair{"zeros", std::vector<std::uint8_t>(now.size())}, std::pair{"its values at other places", moved}}) {
      const std::string where = fmt::format("'{}' was {}", argument, what);
      x.expect_agree(where, x.observed(where, call, {.late = {{argument, earlier}}}), want);
    }
  };
  return overlap_relation(
      "late_" + argument,
      fmt::format(
          "the kernel does not access '{}' before the stream's previous kernel, which may still write it, has ended",
          argument),
      std::move(points), run);
}

Scenario late_allocation_relation(Points points) {
  const auto run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const Observation want = x.observed("alone", call);
    x.expect_agree("late", x.observed("late", call, {.late_allocations = true}), want);
  };
  return overlap_relation("late_allocated",
                          "memory that the function allocates may still be in use: no kernel accesses it before the "
                          "previous kernel (of the stream, or of the same call) has ended",
                          std::move(points), run);
}

namespace {

/// Calls another set with an edge.
class AtEdge final : public Caller {
 public:
  AtEdge(Caller& set, Edge edge) : set_(set), edge_(edge) {}
  CallResult call(const Call& call, const CallOptions& options) override {
    CallOptions changed = options;
    changed.edge = edge_;
    return set_.call(call, changed);
  }
  [[nodiscard]] const std::string& name() const override { return set_.name(); }
  [[nodiscard]] bool is_reference() const override { return set_.is_reference(); }
  [[nodiscard]] bool errors_name_arguments() const override { return set_.errors_name_arguments(); }

 private:
  Caller& set_;
  Edge edge_;
};

}  // namespace

Scenario edge_relation(Edge edge, Points points) {
  const bool at_end = edge == Edge::kEnd;
  const auto run = [edge, at_end](ScenarioContext& x) {
    const std::string where = at_end ? "tensors end at a page" : "tensors begin at a page";
    const Call call = x.op.make(x.c);
    // This call comes first: what lies beyond a tensor in usual memory may crash the process in a way that says less.
    const Observation got = x.observed(where, call, {.poison = 2, .edge = edge});
    const CallResult result = x.call("usual memory", call);
    const Observation usual = x.op.observe(x.c, call, result);
    x.expect_agree(where, got, usual);
    AtEdge reference(x.reference, edge);
    const CallResult other = reference.call(call, {});
    if (other.refusal) {
      x.fail("reference", fmt::format("{}: the reference refused the call: {}", where, *other.refusal));
      return;
    }
    x.expect_agree("the reference, " + where, x.op.observe(x.c, call, other), x.expected(call));
    (void)x.op.tolerances(x.c, call, result, usual, reference);
  };
  Scenario added = relation(at_end ? "page_end" : "page_start",
                            fmt::format("all tensors {} at an inaccessible page: nothing beyond them is read or "
                                        "written, and the outputs are those of the usual call",
                                        at_end ? "end" : "begin"),
                            std::move(points), run);
  added.needs_edges = true;
  return added;
}

Scenario many_rows_relation(const Op& op, std::vector<std::string> points) {
  const auto run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const CallResult result = x.call("call", call);
    const Observation got = x.op.observe(x.c, call, result);
    x.expect_agree("call", got, x.expected(call), x.op.tolerances(x.c, call, result, got, x.reference));
  };
  return relation("many_rows", "the outputs are right if the rows are more than 15 or 16 bits can number",
                  op.at({}, std::move(points)), run);
}

Scenario params_relation(std::string name, std::string meaning, Points points, std::function<void(Params&)> change) {
  return relation(std::move(name), std::move(meaning), std::move(points),
                  [change = std::move(change)](ScenarioContext& x) {
                    const Call original = x.op.make(x.c);
                    const Observation want = x.observed("original", original);
                    Case c = x.c;
                    change(c.params);
                    const Call changed = x.op.make(c);
                    x.expect_agree("changed", x.observed(c, "changed", changed), want);
                  });
}

Scenario any_word_relation(std::string name, std::string meaning, Points points, std::string param) {
  return relation(std::move(name), std::move(meaning), std::move(points),
                  [param = std::move(param)](ScenarioContext& x) {
                    Observation first;
                    for (const std::string& word : x.op.info().space.find(param)->choices) {
                      Case c = x.c;
                      c.params.set(param, word);
                      const Observation o = x.observed(c, word, x.op.make(c));
                      if (first.outputs.empty()) first = o;
                      x.expect_agree(word, o, first);
                    }
                  });
}

Scenario call_relation(std::string name, std::string meaning, Points points,
                       std::function<void(Case&, Call&, Observation& want)> change) {
  return relation(std::move(name), std::move(meaning), std::move(points),
                  [change = std::move(change)](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    Observation want = x.observed("original", call);
                    Case c = x.c;
                    change(c, call, want);
                    x.expect_agree("changed", x.observed(c, "changed", call), want);
                  });
}

Scenario batch_relation(std::string meaning, Points points,
                        std::function<void(Call&, const std::vector<std::int64_t>& rows)> keep) {
  return relation("any_batch", std::move(meaning), std::move(points), [keep = std::move(keep)](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const Observation whole = x.observed("whole", call);
    const auto order = Random(x.c.seed, "order").permutation(whole.outputs.at(0).value.size(0));
    // A faulty kernel may return no rows.
    const auto middle = order.begin() + std::min(std::ssize(order), std::max<std::ptrdiff_t>(1, std::ssize(order) / 6));
    for (const std::vector<std::int64_t>& rows :
         {std::vector(order.begin(), middle), std::vector(middle, order.end())}) {
      const std::string where = fmt::format("{} of {} rows", rows.size(), order.size());
      Call part = call;
      keep(part, rows);
      Observation want = whole;
      for (Output& output : want.outputs) output.value = rows_of(output.value, rows);
      x.expect_agree(where, x.observed(where, part), want);
    }
  });
}

CallResult attempt(ScenarioContext& x, const std::string& where, const Call& call, const CallOptions& options) {
  CallResult answer = x.subject.call(call, options);
  for (const Finding& f : answer.findings) x.fail(f.check, fmt::format("{}: {}", where, f.detail));
  x.compared(1);
  return answer;
}

void fail_each(ScenarioContext& x, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) x.fail(f.check, f.detail);
}

void append(std::vector<Scenario>& list, std::vector<Scenario> more) {
  std::ranges::move(more, std::back_inserter(list));
}

}  // namespace dsv4
