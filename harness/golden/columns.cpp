#include "harness/golden/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/golden/hdf5.h"

namespace dsv4 {
namespace {

/// Far more elements than any tensor here has. Products of sizes up to this limit fit in 64 bits.
constexpr std::int64_t kMostElements = std::int64_t{1} << 40;
constexpr std::size_t kMostDimensions = 16;
constexpr std::size_t kDigestBytes = 16;
constexpr std::size_t kRangeColumns = 4;
constexpr std::size_t kCountColumns = 4;

/// Returns how many bytes of an output are kept. The number follows from the shape and dtype of the output.
std::size_t kept_bytes(const GoldenOutput& o) {
  if (o.full()) return o.bytes();
  return static_cast<std::size_t>(std::min(o.numel(), kSampleElements)) * static_cast<std::size_t>(size_of(o.dtype));
}

bool valid_shape(const Shape& shape) {
  if (shape.size() > kMostDimensions) return false;
  std::int64_t n = 1;
  for (const std::int64_t s : shape) {
    if (s < 0 || s > kMostElements) return false;
    if (s != 0 && n > kMostElements / s) return false;
    n *= s;
  }
  return true;
}

std::string shape_text(const Shape& shape) {
  std::string text;
  for (const std::int64_t s : shape) text += fmt::format("{}{}", text.empty() ? "" : "x", s);
  return text;
}

Shape shape_from_text(std::string_view text) {
  Shape shape;
  while (!text.empty()) {
    std::int64_t s = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), s);
    const auto used = static_cast<std::size_t>(end - text.data());
    const bool more = used < text.size();
    if (code != std::errc{} || (more && (text[used] != 'x' || used + 1 == text.size())))
      throw Error(fmt::format("'{}' is not a shape", text));
    shape.push_back(s);
    text.remove_prefix(more ? used + 1 : used);
  }
  return shape;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Returns `x`, or always the same NaN if `x` is a NaN. NaN has many bit patterns, but a file contains only one
/// of them.
double one_nan(double x) { return std::isnan(x) ? std::numeric_limits<double>::quiet_NaN() : x; }

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same_output(const GoldenOutput& a, const GoldenOutput& b) {
  const Statistics& s = a.statistics;
  const Statistics& t = b.statistics;
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.digest == b.digest && a.blocks == b.blocks &&
         a.kept == b.kept && same_bits(s.min, t.min) && same_bits(s.max, t.max) && same_bits(s.sum, t.sum) &&
         s.nan == t.nan && s.infinite == t.infinite && s.zero == t.zero && a.tolerance == b.tolerance &&
         same_bits(a.tightness, b.tightness) && a.certified == b.certified;
}

bool same_entry(const GoldenEntry& a, const GoldenEntry& b) {
  return a.id == b.id && a.set == b.set && a.inputs == b.inputs && a.verdict == b.verdict &&
         a.known_fault == b.known_fault && std::ranges::equal(a.outputs, b.outputs, same_output);
}

std::vector<std::string> column(const std::vector<GoldenOutput>& outputs, std::string (*field)(const GoldenOutput&)) {
  std::vector<std::string> values;
  values.reserve(outputs.size());
  for (const GoldenOutput& o : outputs) values.push_back(field(o));
  return values;
}

/// Divides a flat data set into consecutive parts. Throws Error if the data set is shorter or longer than all
/// parts together.
template <class T>
class Slices {
 public:
  Slices(std::vector<T> all, std::string name) : all_(std::move(all)), name_(std::move(name)) {}

  [[nodiscard]] std::vector<T> next(std::size_t count) {
    if (count > all_.size() - used_) throw Error(fmt::format("data set '{}' is too short for its outputs", name_));
    const auto begin = std::make_move_iterator(all_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += count;
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
  }
  void finish() const {
    if (used_ != all_.size()) throw Error(fmt::format("data set '{}' is longer than its outputs need", name_));
  }

 private:
  std::vector<T> all_;
  std::string name_;
  std::size_t used_ = 0;
};

Digest digest_at(const Bytes& table, std::size_t row) {
  Digest d;
  std::copy_n(table.begin() + static_cast<std::ptrdiff_t>(row * kDigestBytes), kDigestBytes, d.begin());
  return d;
}

void require_rows(std::string_view name, std::size_t got, std::size_t want) {
  if (got != want) throw Error(fmt::format("data set '{}' has {} rows, but {} are expected", name, got, want));
}

std::vector<GoldenOutput> decode_outputs(const Hdf5Reader& file) {
  const auto names = file.strings("output_name");
  const auto dtypes = file.strings("output_dtype");
  const auto shapes = file.strings("output_shape");
  const auto tolerances = file.strings("output_tolerance");
  const auto digests = file.numbers<std::uint8_t>("output_digest", kDigestBytes);
  const auto range = file.numbers<double>("output_range", kRangeColumns);
  const auto counts = file.numbers<std::int64_t>("output_counts", kCountColumns);
  const std::size_t m = names.size();
  require_rows("output_dtype", dtypes.size(), m);
  require_rows("output_shape", shapes.size(), m);
  require_rows("output_tolerance", tolerances.size(), m);
  require_rows("output_digest", digests.size() / kDigestBytes, m);
  require_rows("output_range", range.size() / kRangeColumns, m);
  require_rows("output_counts", counts.size() / kCountColumns, m);
  Slices<std::uint64_t> blocks(file.numbers<std::uint64_t>("blocks"), "blocks");
  Slices<std::uint8_t> kept(file.numbers<std::uint8_t>("kept"), "kept");

  std::vector<GoldenOutput> outputs(m);
  for (std::size_t i = 0; i < m; ++i) {
    GoldenOutput& o = outputs[i];
    o.name = names[i];
    const auto dtype = dtype_from_name(dtypes[i]);
    if (!dtype) throw Error(fmt::format("output '{}' has the unknown dtype '{}'", o.name, dtypes[i]));
    o.dtype = *dtype;
    o.shape = shape_from_text(shapes[i]);
    if (!valid_shape(o.shape)) throw Error(fmt::format("output '{}' has the impossible shape {}", o.name, shapes[i]));
    o.tolerance = tolerances[i];
    o.digest = digest_at(digests, i);
    const double* r = range.data() + i * kRangeColumns;
    const std::int64_t* c = counts.data() + i * kCountColumns;
    o.statistics = {r[0], r[1], r[2], c[0], c[1], c[2]};
    o.tightness = r[3];
    o.certified = c[3];
    o.blocks = blocks.next(block_count(o.bytes()));
    o.kept = kept.next(kept_bytes(o));
  }
  blocks.finish();
  kept.finish();
  return outputs;
}

std::map<std::string, std::string> decode_provenance(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw Error("attribute 'provenance' is not a JSON object");
  std::map<std::string, std::string> provenance;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) throw Error(fmt::format("attribute 'provenance': '{}' is not a text", key));
    provenance[key] = value.get<std::string>();
  }
  return provenance;
}

Golden decode(const Hdf5Reader& file) {
  Golden golden;
  const std::int64_t schema = file.integer("schema");
  if (schema != kGoldenSchema) {
    throw Error(fmt::format("has schema {}, this dsv4diff reads schema {}", schema, kGoldenSchema));
  }
  golden.op = file.text("op");
  golden.set = file.text("set");
  golden.provenance = decode_provenance(file.text("provenance"));

  const auto ids = file.strings("case_id");
  const auto inputs = file.numbers<std::uint8_t>("case_inputs", kDigestBytes);
  const auto verdicts = file.strings("case_verdict");
  const auto faults = file.strings("case_fault");
  const auto output_counts = file.numbers<std::int64_t>("case_outputs");
  const std::size_t n = ids.size();
  require_rows("case_inputs", inputs.size() / kDigestBytes, n);
  require_rows("case_verdict", verdicts.size(), n);
  require_rows("case_fault", faults.size(), n);
  require_rows("case_outputs", output_counts.size(), n);
  Slices<GoldenOutput> outputs(decode_outputs(file), "output_name");

  golden.entries.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    GoldenEntry& e = golden.entries[i];
    e.id = ids[i];
    e.set = golden.set;
    e.inputs = digest_at(inputs, i);
    const auto verdict = verdict_from_name(verdicts[i]);
    if (!verdict) throw Error(fmt::format("case '{}' has the unknown verdict '{}'", e.id, verdicts[i]));
    e.verdict = *verdict;
    e.known_fault = faults[i];
    if (output_counts[i] < 0) throw Error(fmt::format("case '{}' has {} outputs", e.id, output_counts[i]));
    e.outputs = outputs.next(static_cast<std::size_t>(output_counts[i]));
  }
  outputs.finish();
  if (!std::ranges::is_sorted(golden.entries, {}, &GoldenEntry::id)) throw Error("its cases are not sorted by id");
  normalize(golden);
  return golden;
}

}  // namespace

void check_entry(const GoldenEntry& e) {
  const auto refuse = [&](const std::string& why) { throw Error(fmt::format("golden of {}: {}", e.id, why)); };
  if (e.id.empty() || has_control(e.id)) refuse("the case id is empty or contains control characters");
  if (has_control(e.known_fault)) refuse("the id of its known fault contains control characters");
  for (const GoldenOutput& o : e.outputs) {
    if (o.name.empty() || has_control(o.name) || has_control(o.tolerance)) {
      refuse("the name of an output is empty, or its name or tolerance contains control characters");
    }
    if (!valid_shape(o.shape))
      refuse(fmt::format("output '{}' has the impossible shape {}", o.name, format_shape(o.shape)));
    if (o.kept.size() != kept_bytes(o)) {
      refuse(fmt::format("output '{}' keeps {} bytes, but {} are expected", o.name, o.kept.size(), kept_bytes(o)));
    }
    if (o.blocks.size() != block_count(o.bytes())) {
      refuse(fmt::format("output '{}' has {} block digests, but {} are expected", o.name, o.blocks.size(),
                         block_count(o.bytes())));
    }
    if (o.full() && digest_of(o.kept) != o.digest) {
      refuse(fmt::format("output '{}' does not have the digest that is recorded with it", o.name));
    }
  }
}

void normalize(Golden& golden) {
  std::ranges::sort(golden.entries, {}, &GoldenEntry::id);
  for (const auto& [key, value] : golden.provenance) {
    if (has_control(key) || has_control(value))
      throw Error(fmt::format("provenance '{}' contains control characters", key));
  }
  const std::string* previous = nullptr;
  for (GoldenEntry& e : golden.entries) {
    check_entry(e);
    if (!e.id.starts_with(golden.op + "/"))
      throw Error(fmt::format("case {} does not belong to op '{}'", e.id, golden.op));
    if (e.set != golden.set)
      throw Error(fmt::format("case {} was recorded from set '{}', not from set '{}'", e.id, e.set, golden.set));
    if (previous != nullptr && *previous == e.id) throw Error(fmt::format("case {} occurs twice", e.id));
    previous = &e.id;
    for (GoldenOutput& o : e.outputs) {
      for (double* x : {&o.statistics.min, &o.statistics.max, &o.statistics.sum, &o.tightness}) *x = one_nan(*x);
    }
  }
}

GoldenDifference difference(const Golden& before, const Golden& after) {
  GoldenDifference d;
  d.origin = before.op != after.op || before.set != after.set || before.provenance != after.provenance;
  auto old = before.entries.begin();
  for (const GoldenEntry& e : after.entries) {
    for (; old != before.entries.end() && old->id < e.id; ++old) ++d.removed;
    if (old == before.entries.end() || old->id != e.id) {
      ++d.added;
    } else {
      if (!same_entry(*old, e)) ++d.changed;
      ++old;
    }
  }
  d.removed += static_cast<std::size_t>(before.entries.end() - old);
  return d;
}

bool same_content(const Golden& a, const Golden& b) { return difference(a, b) == GoldenDifference{}; }

Bytes encode_golden(const Golden& golden, std::int64_t schema) {
  std::vector<std::string> ids, verdicts, faults;
  Bytes inputs;
  std::vector<std::int64_t> output_counts;
  std::vector<GoldenOutput> outputs;
  for (const GoldenEntry& e : golden.entries) {
    ids.push_back(e.id);
    verdicts.emplace_back(name_of(e.verdict));
    faults.push_back(e.known_fault);
    inputs.insert(inputs.end(), e.inputs.begin(), e.inputs.end());
    output_counts.push_back(static_cast<std::int64_t>(e.outputs.size()));
    outputs.insert(outputs.end(), e.outputs.begin(), e.outputs.end());
  }
  Bytes digests, kept;
  std::vector<double> range;
  std::vector<std::int64_t> counts;
  std::vector<std::uint64_t> blocks;
  for (const GoldenOutput& o : outputs) {
    const Statistics& s = o.statistics;
    digests.insert(digests.end(), o.digest.begin(), o.digest.end());
    for (const double x : {s.min, s.max, s.sum, o.tightness}) range.push_back(x);
    for (const std::int64_t x : {s.nan, s.infinite, s.zero, o.certified}) counts.push_back(x);
    blocks.insert(blocks.end(), o.blocks.begin(), o.blocks.end());
    kept.insert(kept.end(), o.kept.begin(), o.kept.end());
  }

  Hdf5Writer file;
  file.attribute("schema", schema);
  file.attribute("op", golden.op);
  file.attribute("set", golden.set);
  file.attribute("provenance", nlohmann::json(golden.provenance).dump());
  file.strings("case_id", ids);
  file.numbers<std::uint8_t>("case_inputs", inputs, Hdf5Packing::kPlain, kDigestBytes);
  file.strings("case_verdict", verdicts);
  file.strings("case_fault", faults);
  file.numbers<std::int64_t>("case_outputs", output_counts, Hdf5Packing::kDeflate);
  file.strings("output_name", column(outputs, [](const GoldenOutput& o) { return o.name; }));
  file.strings("output_dtype", column(outputs, [](const GoldenOutput& o) { return std::string(name_of(o.dtype)); }));
  file.strings("output_shape", column(outputs, [](const GoldenOutput& o) { return shape_text(o.shape); }));
  file.strings("output_tolerance", column(outputs, [](const GoldenOutput& o) { return o.tolerance; }));
  file.numbers<std::uint8_t>("output_digest", digests, Hdf5Packing::kPlain, kDigestBytes);
  file.numbers<double>("output_range", range, Hdf5Packing::kDeflate, kRangeColumns);
  file.numbers<std::int64_t>("output_counts", counts, Hdf5Packing::kDeflate, kCountColumns);
  file.numbers<std::uint64_t>("blocks", blocks, Hdf5Packing::kPlain);
  file.numbers<std::uint8_t>("kept", kept, Hdf5Packing::kDeflate);
  return file.finish();
}

Golden decode_golden(std::span<const std::uint8_t> image, const std::string& where) {
  const Hdf5Reader file(image, where);
  try {
    return decode(file);
  } catch (const Error& e) {
    const std::string what = e.what();
    throw Error(what.starts_with(where) ? what : fmt::format("{}: {}", where, what));
  }
}

std::string record_again(const std::string& op, const std::string& set) {
  return fmt::format("record it again with 'dsv4diff record --op {} --set {}'", op, set);
}

}  // namespace dsv4
