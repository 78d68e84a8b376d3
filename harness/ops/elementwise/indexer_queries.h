/// The common part of the two ops that quantise the queries of the indexer: parameters, inputs and scenarios. Both have
/// the arguments q_input, weight, weights_out, weight_scale, freqs_cis and positions. A row of the queries is one head
/// of one token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

inline constexpr std::int64_t kQueryDim = 128;

/// The form in which an op quantises, for the fills at its edges. A row can be made whose transformed elements are
/// +-`unit` and +-`unit` * m / `greatest`, within their roundings. Then the scale of each group is that of `unit`, and
/// the other elements are near m times a power of two.
struct QuantisedForm {
  double greatest;                ///< 448 for E4M3, 6 for E2M1
  std::vector<double> midpoints;  ///< the numbers halfway between two neighbouring codes
  double unit;                    ///< in q_input, so larger by sqrt(128) than after the transform. Has few bits
  /// Numbers by which a row can be multiplied without another effect on its codes. A float has other rounding errors
  /// then.
  std::vector<double> multiples;
};
QuantisedForm e4m3_form();
QuantisedForm e2m1_form();

/// What an op of this pair has of its own.
struct QueryForm {
  std::string name;
  std::string summary;
  std::string upstream;
  QuantisedForm form;
  std::vector<Argument> quantised;  ///< the outputs after q_input: the codes, and scales if they are stored
  std::vector<std::string> smoke;   ///< smoke points besides those of both ops
  double out_bytes;                 ///< bytes of the outputs of a row
};

class QueryOp : public Op {
 public:
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override;
  [[nodiscard]] Call make(const Case& c) const override;
  [[nodiscard]] bool trivial_by_design(const Case& c) const override;
  [[nodiscard]] Cost cost(const Case& c, const Call& call) const override;
  [[nodiscard]] ElementFacts element_facts(const Case& c, const Call& call) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 protected:
  explicit QueryOp(const QueryForm& op);
  /// Turns the outputs of a call into those for twice the queries.
  virtual void double_outputs(Observation& want) const = 0;

 private:
  QuantisedForm form_;
  std::string codes_;  ///< the argument with the codes
  double out_bytes_;
};

}  // namespace dsv4
