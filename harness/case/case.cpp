#include "harness/case/case.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

constexpr std::size_t kLongestId = 4096;  // much longer than any valid id; a longer id is a mistake or an attack

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

[[noreturn]] void malformed(std::string_view id, const std::string& why) {
  throw Error(
      fmt::format("case id '{}': {}. An id has the form op/name=value,.../seed=N; 'dsv4diff cases' lists all ids",
                  shortened(id), why));
}

std::uint64_t parse_seed(std::string_view id, std::string_view text) {
  std::uint64_t seed = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size() || std::to_string(seed) != text) {
    malformed(id, fmt::format("'{}' is not a seed", shortened(text)));
  }
  return seed;
}

Params parse_params(std::string_view id, std::string_view text) {
  Params params;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto pair = text.substr(0, comma);
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) malformed(id, fmt::format("'{}' is not name=value", shortened(pair)));
    const auto name = pair.substr(0, equals);
    const auto value = pair.substr(equals + 1);
    if (!is_word(name)) malformed(id, fmt::format("'{}' is not a parameter name", shortened(name)));
    if (!is_word(value)) malformed(id, fmt::format("'{}' is not a value of '{}'", shortened(value), name));
    if (params.has(name)) malformed(id, fmt::format("parameter '{}' is given twice", name));
    params.set(name, value);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) malformed(id, "a comma is followed by nothing");
  }
  return params;
}

}  // namespace

std::string_view name_of(Tier tier) {
  switch (tier) {
    case Tier::kSmoke:
      return "smoke";
    case Tier::kQuick:
      return "quick";
    case Tier::kFull:
      return "full";
  }
  return "?";
}

Tier tier_from_name(std::string_view name) {
  for (const Tier tier : {Tier::kSmoke, Tier::kQuick, Tier::kFull}) {
    if (name_of(tier) == name) return tier;
  }
  throw Error(fmt::format("unknown tier '{}'{}; tiers are smoke, quick and full", shortened(name),
                          did_you_mean(name, {"smoke", "quick", "full"})));
}

std::string Case::id() const {
  std::string out = op;
  if (!scenario.empty()) out += "/" + scenario;
  return out + "/" + params.str() + "/seed=" + std::to_string(seed);
}

Case parse_case_id(std::string_view id) {
  if (id.size() > kLongestId)
    malformed(id, fmt::format("{} characters, at most {} are allowed", id.size(), kLongestId));
  std::vector<std::string_view> parts;
  for (std::string_view rest = id;;) {
    const auto slash = rest.find('/');
    parts.push_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts.size() < 3 || parts.size() > 4) malformed(id, fmt::format("{} parts, 3 or 4 are expected", parts.size()));
  if (!is_word(parts[0])) malformed(id, fmt::format("'{}' is not an op name", shortened(parts[0])));
  Case c;
  c.op = parts[0];
  if (parts.size() == 4) {
    const auto colon = parts[1].find(':');
    const auto kind = parts[1].substr(0, colon);
    if (colon == std::string_view::npos || !is_word(parts[1].substr(colon + 1)) ||
        (kind != "contract" && kind != "relation" && kind != "sequence")) {
      malformed(id, fmt::format("'{}' is not contract:NAME, relation:NAME or sequence:NAME", shortened(parts[1])));
    }
    c.scenario = parts[1];
  }
  c.params = parse_params(id, parts[parts.size() - 2]);
  const auto seed = parts.back();
  if (!seed.starts_with("seed=")) malformed(id, "the last part is not seed=N");
  c.seed = parse_seed(id, seed.substr(5));
  return c;
}

bool Shard::contains(std::string_view case_id) const {
  return XXH3_64bits(case_id.data(), case_id.size()) % count == index - 1;
}

Shard parse_shard(std::string_view text) {
  Shard shard;
  const char* const end = text.data() + text.size();
  const auto [slash, code] = std::from_chars(text.data(), end, shard.index);
  bool good = code == std::errc{} && slash != end && *slash == '/';
  if (good) {
    const auto [rest, code2] = std::from_chars(slash + 1, end, shard.count);
    good = code2 == std::errc{} && rest == end && shard.index >= 1 && shard.index <= shard.count;
  }
  if (!good) throw Error(fmt::format("--shard '{}': expected K/N with 1 <= K <= N, for instance 2/8", shortened(text)));
  return shard;
}

}  // namespace dsv4
