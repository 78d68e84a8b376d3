/// One case of a golden: the recorded outputs of a kernel set, and how they compared with the reference.
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

/// One canonical output. A small output is kept in full, so that it can be compared again with any tolerance. Of a
/// large output, digests and a sample are kept. The digests show whether the output changed, and roughly where. The
/// sample shows how much it changed.
struct GoldenOutput {
  std::string name;
  DType dtype = DType::kU8;
  Shape shape;
  Digest digest{};                    ///< digest of the packed bytes
  std::vector<std::uint64_t> blocks;  ///< block_digests(); empty if the output is kept in full
  Bytes kept;                         ///< all packed bytes if full(), else the elements at sample_positions()
  Statistics statistics;
  std::string tolerance;       ///< kind of the tolerance in the comparison; "" if it was not compared
  double tightness = 0;        ///< error/bound against the reference
  std::int64_t certified = 0;  ///< number of elements that are certified alternatives

  [[nodiscard]] std::int64_t numel() const;
  /// Size in bytes without gaps.
  [[nodiscard]] std::size_t bytes() const;
  /// True if `kept` holds the whole output.
  [[nodiscard]] bool full() const { return bytes() <= kFullBytes; }
  /// Returns the recorded output. Throws Error unless full().
  [[nodiscard]] Output output() const;
};

struct GoldenEntry {
  std::string id;
  std::string set;  ///< name of the recorded set; a file stores it only once
  Digest inputs{};
  Verdict verdict = Verdict::kPassed;  ///< verdict against the reference at recording
  std::string known_fault;             ///< id of the known fault that showed; "" unless the verdict is kKnown
  std::vector<GoldenOutput> outputs;   ///< in the order in which the op returns them
  /// The findings behind a verdict that is not kPassed, such as a changed guard band, as one line. No value shows them.
  /// The text index has them, the HDF5 file does not: this is "" in a golden that was read.
  std::string findings;

  [[nodiscard]] double tightness() const;
  [[nodiscard]] std::int64_t certified() const;
};

/// Makes the record of one output. `judged` is the report on its comparison with the reference; it may be null.
GoldenOutput make_output(const Output& output, const OutputReport* judged);

/// Makes the entry of a case from its call, the response of the recorded set, and the result of the trial against the
/// reference. Throws Error if the case cannot have a golden. This holds for a scenario, a refused call, and a verdict
/// without outputs (error, unsupported, skipped).
GoldenEntry make_entry(const Case& c, const Call& call, const Response& response, const CaseResult& result);

/// Converts an entry to JSON. Worker processes send entries in this form. Bytes and digests are written in hex, and NaN
/// and infinities as words.
void to_json(nlohmann::json& j, const GoldenEntry& e);
/// Reads an entry from JSON. Throws Error or nlohmann::json::exception if the JSON is malformed or inconsistent.
void from_json(const nlohmann::json& j, GoldenEntry& e);

}  // namespace dsv4
