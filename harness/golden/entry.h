/// One case of a golden: the outputs of a kernel set as recorded, and how they compared with the reference.
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

/// One canonical output. A small output is kept in full, so that it can be compared again under any tolerance. A large
/// one is kept as digests and a sample. The digests show whether and roughly where something changed; the sample shows
/// by how much.
struct GoldenOutput {
  std::string name;
  DType dtype = DType::kU8;
  Shape shape;
  Digest digest{};                    ///< of the packed bytes
  std::vector<std::uint64_t> blocks;  ///< block_digests(); empty when kept in full
  Bytes kept;                         ///< all packed bytes, or the bits of the elements at sample_positions()
  Statistics statistics;
  std::string tolerance;       ///< kind of the tolerance it was compared with; "" if it was not compared
  double tightness = 0;        ///< largest error over bound against the reference
  std::int64_t certified = 0;  ///< elements where a certified alternative was taken

  [[nodiscard]] std::int64_t numel() const;
  /// Packed size in bytes.
  [[nodiscard]] std::size_t bytes() const;
  /// True if `kept` holds the whole output.
  [[nodiscard]] bool full() const { return bytes() <= kFullBytes; }
  /// The output as it was. Throws Error unless full().
  [[nodiscard]] Output output() const;
};

struct GoldenEntry {
  std::string id;
  std::string set;  ///< name of the set it was recorded from; a file stores it once
  Digest inputs{};
  Verdict verdict = Verdict::kPassed;  ///< against the reference, at recording
  std::string known_fault;             ///< id of the known fault that showed; only with kKnown
  std::vector<GoldenOutput> outputs;   ///< in the order the op gives them

  [[nodiscard]] double tightness() const;
  [[nodiscard]] std::int64_t certified() const;
};

/// What a golden keeps of one output. `judged` is the report of its comparison; it may be null.
GoldenOutput make_output(const Output& output, const OutputReport* judged);

/// Makes the entry of a case from its call, the response of the recorded set, and the result of the trial against the
/// reference. Throws Error if the case cannot have a golden: a scenario, a refused call, or a verdict without outputs
/// (error, unsupported, skipped).
GoldenEntry make_entry(const Case& c, const Call& call, const Response& response, const CaseResult& result);

/// Worker processes send entries as JSON, with bytes and digests in hex, and NaN and infinities as words.
void to_json(nlohmann::json& j, const GoldenEntry& e);
/// Throws Error or nlohmann::json::exception for anything malformed or inconsistent.
void from_json(const nlohmann::json& j, GoldenEntry& e);

}  // namespace dsv4
