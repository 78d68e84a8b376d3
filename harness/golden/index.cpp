#include "harness/golden/index.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

constexpr std::size_t kShortDigest = 12;  // hex digits (48 bits), enough to distinguish the digests in one review

constexpr std::string_view kSchemaMark = "# dsv4diff golden schema ";
constexpr std::string_view kFileMark = "# h5 bytes=";
constexpr std::string_view kFileDigestMark = " xxh3=";
constexpr std::string_view kTextMark = "# text xxh3=";

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string short_hex(const Digest& d) { return hex(d).substr(0, kShortDigest); }

/// Formats a number with nine significant digits, which distinguish any two floats.
std::string value_text(double x) { return fmt::format("{:.9g}", x); }

std::string output_text(const GoldenOutput& o) {
  const Statistics& s = o.statistics;
  std::string text =
      fmt::format(" | {} {}[{}] {}", o.name, name_of(o.dtype), fmt::join(o.shape, ","), short_hex(o.digest));
  if (!std::isnan(s.min)) {
    text += fmt::format(" {}..{} sum={:.6g}", value_text(s.min), value_text(s.max), s.sum);
  }
  if (s.zero != 0) text += fmt::format(" zero={}", s.zero);
  if (s.nan != 0) text += fmt::format(" nan={}", s.nan);
  if (s.infinite != 0) text += fmt::format(" inf={}", s.infinite);
  if (o.certified != 0) text += fmt::format(" certified={}", o.certified);
  return text;
}

std::string provenance_text(const std::map<std::string, std::string>& provenance) {
  std::string text = "# provenance";
  for (const auto& [key, value] : provenance) {
    const bool plain = value.find_first_of(" \"\\") == std::string::npos && !value.empty();
    text += fmt::format(" {}={}", key, plain ? value : nlohmann::json(value).dump());
  }
  return text;
}

/// Removes the number at the start of `text` and returns it. Returns nullopt if `text` does not start with a number.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t n = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (code != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return n;
}

bool take_mark(std::string_view& text, std::string_view mark) {
  if (!text.starts_with(mark)) return false;
  text.remove_prefix(mark.size());
  return true;
}

std::optional<Digest> take_digest(std::string_view& text) {
  constexpr std::size_t kDigits = 32;
  if (text.size() < kDigits) return std::nullopt;
  try {
    const Digest d = digest_from_hex(text.substr(0, kDigits));
    text.remove_prefix(kDigits);
    return d;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string index_line(const GoldenEntry& entry) {
  std::string line = fmt::format("{} in={} {}", entry.id, short_hex(entry.inputs), name_of(entry.verdict));
  if (!entry.known_fault.empty()) line += fmt::format("({})", entry.known_fault);
  line += fmt::format(" t={:.3g}", entry.tightness());
  for (const GoldenOutput& o : entry.outputs) line += output_text(o);
  if (!entry.findings.empty()) line += " ! " + entry.findings;
  return line;
}

std::string format_index(const Golden& golden, std::span<const std::uint8_t> image, std::int64_t schema) {
  std::string body = fmt::format("# op {}, set {}, {} cases\n{}\n", golden.op, golden.set, golden.entries.size(),
                                 provenance_text(golden.provenance));
  for (const GoldenEntry& e : golden.entries) body += index_line(e) + "\n";
  return fmt::format("{}{}\n{}{}{}{}\n{}{}\n{}", kSchemaMark, schema, kFileMark, image.size(), kFileDigestMark,
                     hex(digest_of(image)), kTextMark, hex(digest_of(bytes_of(body))), body);
}

IndexHeader parse_index(std::string_view text, const std::string& where) {
  const auto refuse = [&](const std::string& what) { throw Error(fmt::format("{}: {}", where, what)); };
  if (!take_mark(text, kSchemaMark)) refuse("is not the index of a golden");
  const auto schema = take_number(text);
  if (!schema || !take_mark(text, "\n")) refuse("its first line is malformed");
  if (*schema != static_cast<std::uint64_t>(kGoldenSchema)) {
    refuse(fmt::format("has schema {}, this dsv4diff reads schema {}: {}", *schema, kGoldenSchema,
                       *schema > static_cast<std::uint64_t>(kGoldenSchema) ? "a newer dsv4diff recorded it"
                                                                           : "an older dsv4diff recorded it"));
  }
  if (!take_mark(text, kFileMark)) refuse("its second line is malformed");
  const auto bytes = take_number(text);
  const bool marked = bytes && take_mark(text, kFileDigestMark);
  const auto file_digest = marked ? take_digest(text) : std::nullopt;
  if (!file_digest || !take_mark(text, "\n")) refuse("its second line is malformed");
  if (!take_mark(text, kTextMark)) refuse("its third line is malformed");
  const auto text_digest = take_digest(text);
  if (!text_digest || !take_mark(text, "\n")) refuse("its third line is malformed");
  if (digest_of(bytes_of(text)) != *text_digest) {
    refuse("does not match its own checksum: it was edited, merged by hand or damaged");
  }
  return {static_cast<std::size_t>(*bytes), *file_digest};
}

}  // namespace dsv4
