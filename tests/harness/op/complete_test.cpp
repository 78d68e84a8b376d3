/// Checks that every op is complete. It must have the parts whose absence does not fail the build, and its calls must
/// match its signature.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "harness/generate/random.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const fs::path kRoot = DSV4_SOURCE_DIR;

std::vector<const Op*> real_ops() {
  std::vector<const Op*> ops;
  for (const Op* op : all_ops()) {
    if (op->info().family != "test") ops.push_back(op);
  }
  return ops;
}

/// True if a smoke case has an output that is not compared bit by bit.
bool is_inexact(const Op& op) {
  for (const Params& p : op.points(Tier::kSmoke)) {
    const Specimen s(Case{op.info().name, "", p, 1}.id());
    const Observation o = op.observe(s.c, s.call, s.result);
    for (const auto& [name, tolerance] : op.tolerances(s.c, s.call, s.result, o, reference_set())) {
      if (tolerance.kind != Tolerance::Kind::kExact) return true;
    }
  }
  return false;
}

TEST(Complete, EveryOpHasATestOfItsReference) {
  for (const Op* op : real_ops()) {
    const fs::path test = kRoot / "tests/reference" / op->info().family / (op->info().name + "_test.cpp");
    EXPECT_TRUE(fs::exists(test)) << op->info().name << ": " << test << " is missing";
  }
}

TEST(Complete, EveryOpHasMutants) {
  const auto catalogue = nlohmann::json::parse(text_of(kRoot / "tests/mutants/mutants.json"));
  std::map<std::string, int> mutants;
  for (const auto& mutant : catalogue.at("mutants")) ++mutants[mutant.at("op").get<std::string>()];
  for (const Op* op : real_ops()) {
    EXPECT_GE(mutants[op->info().name], 2) << op->info().name << " needs two mutants in tests/mutants/mutants.json";
  }
}

// A tensor without elements cannot be read past its end. So each argument must have elements in some case.
TEST(Complete, EveryTensorArgumentIsTriedAtAPage) {
  for (const Op* op : real_ops()) {
    std::map<std::string, std::set<std::string>> tried;  // arguments, by scenario
    for (const Case& c : cases_of(*op, Tier::kQuick)) {
      if (!c.scenario.starts_with("relation:page_")) continue;
      for (const Arg& arg : op->make(c).args) {
        if (arg.is_tensor() && arg.tensor().numel() != 0) tried[c.scenario].insert(arg.name);
      }
    }
    for (const Argument& a : op->info().signature.arguments()) {
      if (!a.is_tensor()) continue;
      for (const char* scenario : {"relation:page_end", "relation:page_start"})
        EXPECT_TRUE(tried[scenario].contains(a.name)) << op->info().name << ", " << scenario << ": '" << a.name << "'";
    }
  }
}

TEST(Complete, EveryInexactOpHasASectionInNumerics) {
  std::string headings;
  std::istringstream page(text_of(kRoot / "docs/numerics.md"));
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) headings += line + "\n";
  }
  int inexact = 0;
  for (const Op* op : real_ops()) {
    if (!is_inexact(*op)) continue;
    ++inexact;
    EXPECT_THAT(headings, ::testing::HasSubstr(op->info().name)) << "no heading of docs/numerics.md names the op";
  }
  EXPECT_GE(inexact, 4);
}

/// The pairs "op set" that golden/unrecorded.txt lists. Each line must also give a reason.
std::set<std::string> unrecorded() {
  std::set<std::string> pairs;
  std::istringstream list(text_of(kRoot / "golden/unrecorded.txt"));
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string op, set, reason;
    words >> op >> set >> reason;
    EXPECT_FALSE(reason.empty()) << "golden/unrecorded.txt: '" << line << "' gives no reason";
    pairs.insert(op + " " + set);
  }
  return pairs;
}

TEST(Complete, EveryOpHasGoldens) {
  std::set<std::string> listed = unrecorded();
  for (const Op* op : real_ops()) {
    const OpInfo& info = op->info();
    for (const std::string set : {"host", "cuda", "sglang-0.5.12"}) {
      if (set.starts_with("sglang") && info.upstream.empty()) continue;
      const std::string golden = "golden/" + info.name + "/" + set;
      const bool recorded = fs::exists(kRoot / (golden + ".h5")) && fs::exists(kRoot / (golden + ".txt"));
      if (set != "host" && listed.erase(info.name + " " + set) == 1) {
        EXPECT_FALSE(recorded) << golden << " is recorded: remove it from golden/unrecorded.txt";
        continue;
      }
      EXPECT_TRUE(recorded) << golden << ".h5 or .txt is missing: run 'dsv4diff record --set " << set << " --op "
                            << info.name << "'. Without a GPU, list a GPU set in golden/unrecorded.txt with the reason";
    }
  }
  EXPECT_THAT(listed, ::testing::IsEmpty()) << "golden/unrecorded.txt names what is not an op and a GPU set";
}

/// Ids, lengths, map entries and plans: a function cannot check these values on the host.
TEST(Complete, EveryIndexHasAContractAboutValuesOutside) {
  for (const Op* op : real_ops()) {
    const auto scenarios = all_scenarios(*op);
    for (const Argument& a : op->info().signature.arguments()) {
      if (!a.is_tensor() || a.role != Role::kIn || a.traits.place == Place::kHost) continue;
      if (!a.traits.reached_by.empty()) continue;  // memory that is copied
      const DType dtype = a.dtypes.front();
      if (dtype != DType::kI32 && dtype != DType::kI64 && dtype != DType::kU8) continue;
      const std::string label = "contract:" + a.contract("outside");
      EXPECT_TRUE(find_scenario(scenarios, label) != nullptr || op->info().without.contains(label))
          << op->info().name << " has no " << label;
    }
  }
}

TEST(Complete, EveryOpHasShapesForTheBenchmark) {
  for (const Op* op : real_ops()) {
    EXPECT_FALSE(op->info().bench.empty()) << op->info().name << " has no point in OpInfo::bench";
    for (const std::string& line : op->info().bench) {
      const auto why = op->reject(op->info().space.at(line));
      EXPECT_FALSE(why.has_value()) << op->info().name << " '" << line << "': " << why.value_or("");
    }
  }
}

TEST(Complete, EveryCallMatchesItsSignature) {
  for (const Op* op : real_ops()) {
    ASSERT_FALSE(op->info().signature.empty()) << op->info().name << " has no signature";
    for (const Params& p : op->points(Tier::kSmoke)) {
      const Call call = op->make({op->info().name, "", p, 1});
      ASSERT_EQ(call.args.size(), op->info().signature.arguments().size()) << op->info().name;
      EXPECT_NO_THROW((void)op->info().signature.sizes_of(call)) << p.str();
    }
  }
}

/// True if the name of the fill says that it has NaN or infinities.
bool promises_specials(const std::string& fill) {
  return fill.find("nan") != std::string::npos || fill.find("inf") != std::string::npos || fill == "special";
}

bool is_special(const HostTensor& t, std::int64_t i) { return !std::isfinite(value_of(t.dtype, t.element(i))); }

/// Replaces every NaN and infinity in the inputs of the call by 1. Returns false if the inputs had none.
bool make_ordinary(Call& call) {
  bool changed = false;
  for (Arg& arg : call.args) {
    if (!arg.is_tensor() || (arg.role != Role::kIn && arg.role != Role::kInOut)) continue;
    HostTensor& t = arg.tensor();
    if (t.dtype != DType::kF32 && t.dtype != DType::kBF16) continue;
    for (std::int64_t i = 0; i < t.numel(); ++i) {
      if (!is_special(t, i)) continue;
      set_float(t, i, 1.0);
      changed = true;
    }
  }
  return changed;
}

std::vector<std::vector<std::uint8_t>> answer_to(const Case& c, const Op& op, const Call& call) {
  const CallResult result = reference_set().call(call);
  EXPECT_FALSE(result.refusal.has_value()) << c.id() << ": " << result.refusal.value_or("");
  std::vector<std::vector<std::uint8_t>> bytes;
  for (const Output& o : op.observe(c, call, result).outputs) bytes.push_back(o.value.storage);
  return bytes;
}

/// True for a parameter that chooses the values of the inputs.
bool is_fill(const ParamSpec& spec) { return spec.name == "fill" || spec.name == "angles" || spec.name == "table"; }

TEST(Complete, EveryFillChangesAnOutputOfAQuickCase) {
  for (const Op* op : real_ops()) {
    std::vector<Params> points = op->points(Tier::kSmoke);
    for (Params& p : op->points(Tier::kQuick)) points.push_back(std::move(p));
    for (const ParamSpec& spec : op->info().space.specs()) {
      if (!is_fill(spec) || spec.choices.empty()) continue;
      for (const std::string& fill : spec.choices) {
        // The result must differ from the result with another fill. If the fill has NaN or infinities, the result must
        // also change when each of them is replaced by 1.
        const std::string other = spec.choices.front() == fill ? spec.choices.back() : spec.choices.front();
        bool seen = false;
        for (const Params& p : points) {
          if (!p.is(spec.name, fill)) continue;
          const Case c{op->info().name, "", p, 1};
          Case changed = c;
          changed.params.set(spec.name, other);
          if (why_not(*op, changed.params)) continue;
          const Call call = op->make(c);
          const auto answer = answer_to(c, *op, call);
          Call ordinary = call;
          seen = answer != answer_to(changed, *op, op->make(changed)) &&
                 (!promises_specials(fill) || (make_ordinary(ordinary) && answer != answer_to(c, *op, ordinary)));
          if (seen) break;
        }
        EXPECT_TRUE(seen) << op->info().name << ": " << spec.name << "=" << fill
                          << " makes no difference to the outputs of the quick cases";
      }
    }
  }
}

}  // namespace
}  // namespace dsv4::testing
