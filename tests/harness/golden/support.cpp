#include "tests/harness/golden/support.h"

#include <unistd.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

namespace dsv4::golden_test {
namespace {

constexpr double kBound = 1e-3;

class Probe final : public Op {
 public:
  Probe()
      : Op({.name = "golden_probe",
            .family = "test",
            .summary = "y = 2 x",
            .upstream = "none",
            .abis = {"golden_probe/1"},
            .space = {ParamSpec::integer("n", 0, 1 << 24, "elements"),
                      ParamSpec::choice("judge", {"exact", "exact_nan", "bound", "interval"}, "how y is judged")},
            .host_note = ""}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override { return {Params().set("n", 8).set("judge", "exact")}; }

  [[nodiscard]] Call make(const Case& c) const override {
    const std::int64_t n = c.params.integer("n");
    HostTensor x = HostTensor::make(DType::kF32, {n});
    for (std::int64_t i = 0; i < n; ++i)
      x.at<float>(i) = static_cast<float>((i * 7 + static_cast<std::int64_t>(c.seed)) % 101) / 8;
    return {
        "golden_probe",
        "",
        {},
        {in("x", x), scalar("seed", static_cast<std::int64_t>(c.seed)), out("y", HostTensor::make(DType::kF32, {n}))}};
  }

  [[nodiscard]] Observation observe(const Case& c, const Call&, const CallResult& result) const override {
    HostTensor y = result.tensor("y");
    const std::int64_t n = c.params.integer("n");
    if (n % 16 == 0) {
      y.shape = {n / 16, 16};
      y.strides = {16, 1};
    }
    HostTensor first = HostTensor::make(DType::kF32, {std::min<std::int64_t>(n, 1)});
    if (n > 0) first.set(0, std::round(y.get<float>(0)));
    return Observation().add("y", y).add("first", first);
  }

  /// `row`: the number of each row of y.
  [[nodiscard]] ElementFacts element_facts(const Case& c, const Call&) const override {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(c.params.integer("n") / 16));
    std::iota(rows.begin(), rows.end(), 0);
    return {{"row", HostTensor::of(DType::kI64, rows)}};
  }

  [[nodiscard]] Tolerances tolerances(const Case& c, const Call& call, const CallResult&, const Observation& got,
                                      Caller& reference) const override {
    const HostTensor& y = got.output("y");
    if (c.params.is("judge", "exact_nan")) return {{"y", Tolerance::exact_nan("any NaN will do")}};
    if (c.params.is("judge", "bound")) {
      HostTensor bound = HostTensor::make(DType::kF64, y.shape);
      for (std::int64_t i = 0; i < y.numel(); ++i) bound.data<double>()[i] = kBound;
      return {{"y", Tolerance::within(bound, "a thousandth")}};
    }
    if (c.params.is("judge", "interval")) {
      HostTensor low = HostTensor::make(DType::kF32, y.shape);
      low.storage = reference.call(call).tensor("y").storage;
      HostTensor high = low;
      for (std::int64_t i = 0; i < y.numel(); ++i) {
        low.data<float>()[i] = std::nextafter(low.data<float>()[i], -1e30F);
        high.data<float>()[i] = std::nextafter(high.data<float>()[i], 1e30F);
      }
      return {{"y", Tolerance::between(low, high, "one step either way")}};
    }
    return {};
  }
};

}  // namespace

const Op& probe_op() {
  // Real ops are registered before main(). This op is registered when it is first needed, because tests of all ops must
  // not find it.
  static const Op* op = [] {
    register_op(std::make_unique<Probe>());
    return find_op("golden_probe");
  }();
  return *op;
}

CheckedCase probe(std::int64_t n, const std::string& judge, std::uint64_t seed) {
  return {{"golden_probe", "", Params().set("n", n).set("judge", judge), seed}, &probe_op()};
}

CallResult FakeCaller::call(const Call& call, const CallOptions&) {
  ++calls;
  if (unsupported) throw Unsupported("the set has no golden_probe");
  CallResult r;
  r.args = call.args;
  r.findings = findings;
  if (!refusal.empty()) {
    r.refusal = refusal;
    return r;
  }
  HostTensor& y = r.args[2].tensor();
  body_(call.tensor("x").data<float>(), y.data<float>(), y.numel());
  return r;
}

FakeCaller honest(const std::string& name, bool reference) { return off_by(-1, 0, name, reference); }

FakeCaller off_by(std::int64_t at, float by, const std::string& name, bool reference) {
  return {name, reference, [=](const float* x, float* y, std::int64_t n) {
            for (std::int64_t i = 0; i < n; ++i) y[i] = 2 * x[i] + (i == at ? by : 0);
          }};
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "dsv4_golden_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw Error("no temporary folder");
  path_ = name;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Golden sample_golden(int cases) {
  probe_op();
  FakeCaller reference = honest("reference", true);
  Golden g;
  g.op = "golden_probe";
  g.set = "good";
  g.provenance = {{"package", "in-tree"}, {"compiler", "g++ 12.2.0"}, {"arch", "x86-64"}};
  const std::vector<std::int64_t> sizes{1, 8, 64, 65, 1000, 40000};
  const std::vector<std::string> judges{"exact", "bound"};
  for (int i = 0; i < cases; ++i) {
    // One case in six has NaN, infinity and -0 in its output. JSON and the statistics must handle these values.
    FakeCaller subject("good", false, [&](const float* x, float* y, std::int64_t n) {
      for (std::int64_t k = 0; k < n; ++k) y[k] = 2 * x[k];
      if (i % 6 == 5 && n > 2) {
        y[0] = std::numeric_limits<float>::quiet_NaN();
        y[1] = -std::numeric_limits<float>::infinity();
        y[2] = -0.0F;
      }
    });
    const auto u = static_cast<std::size_t>(i);
    const CheckedCase c = probe(sizes[u % sizes.size()], judges[u / sizes.size() % 2], u);
    g.entries.push_back(record_case(c, {subject, reference, reference}).entry.value());
  }
  return g;
}

}  // namespace dsv4::golden_test
