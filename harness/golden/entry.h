/// One case of a golden: what a kernel set answered when it was recorded, and how that answer was judged.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/golden/digest.h"
#include "harness/run/trial.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// One canonical output. Small outputs are kept in full, so that they can be judged again under any tolerance; large
/// ones as digests (which say whether and roughly where something changed) and a sample (which says by how much).
struct GoldenOutput {
  std::string name;
  DType dtype = DType::kU8;
  Shape shape;
  Digest digest{};                    ///< of the packed bytes
  std::vector<std::uint64_t> blocks;  ///< block_digests(); empty when kept in full
  Bytes kept;                         ///< all packed bytes, or the bits of the elements at sample_positions()
  Statistics statistics;
  std::string tolerance;       ///< kind of the tolerance it was judged by, "" when it was not judged
  double tightness = 0;        ///< largest error over bound against the reference
  std::int64_t certified = 0;  ///< elements where a certified alternative was taken

  [[nodiscard]] std::int64_t numel() const;
  /// Packed size in bytes.
  [[nodiscard]] std::size_t bytes() const;
  /// True if `kept` holds the whole output.
  [[nodiscard]] bool full() const { return bytes() <= kFullBytes; }
  /// The output again. Only when full().
  [[nodiscard]] Output output() const;
};

struct GoldenEntry {
  std::string id;
  std::string set;  ///< name of the set it was recorded from; in a file it is said once
  Digest inputs{};
  Verdict verdict = Verdict::kPassed;  ///< against the reference, at recording
  std::string known_fault;             ///< id of the known fault that showed; only with kKnown
  std::vector<GoldenOutput> outputs;   ///< in the order the op gives them

  [[nodiscard]] double tightness() const;
  [[nodiscard]] std::int64_t certified() const;
};

/// What is kept of one output; `judged` may be null.
GoldenOutput make_output(const Output& output, const OutputReport* judged);

/// The entry of a case from its call on the set that is recorded, and the judgement of that call against the reference.
/// Throws Error for what cannot be a golden: a scenario, a refused call,
/// a verdict without outputs (error, unsupported, skipped).
GoldenEntry make_entry(const Case& c, const Observed& observed, const CaseResult& judged);

/// Entries travel from worker processes as JSON: bytes and digests in hex, NaN and infinities as words.
void to_json(nlohmann::json& j, const GoldenEntry& e);
/// Throws Error or nlohmann::json::exception for anything malformed or inconsistent.
void from_json(const nlohmann::json& j, GoldenEntry& e);

}  // namespace dsv4
