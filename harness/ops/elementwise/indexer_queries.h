/// What the two ops share that quantise the queries of the indexer: parameters, inputs and scenarios. Both have the
/// arguments q_input, weight, weights_out, weight_scale, freqs_cis and positions. A row of the queries is one head of
/// one token.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/space.h"
#include "harness/generate/fills.h"
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

/// The parameters. The fills are those for `form`.
Space query_space(const QuantisedForm& form);

/// Says why a case is too large for a sweep (Op::too_large).
std::optional<std::string> too_many_rows(const Params& p);
/// The parameters that are idle (Op::idle).
std::vector<std::string> idle_of_queries(const Params& p);
/// True if all outputs of a row may be equal (Op::trivial_by_design).
bool has_trivial_queries(const Params& p);

/// Fills the arguments that both ops have, in a call of Op::allocate().
void fill_queries(const Case& c, const QuantisedForm& form, Call& call);

/// The least work for queries of which each row has `out_bytes` bytes of outputs.
Cost cost_of_queries(const Params& p, double out_bytes);

/// The scenarios of both ops. `codes` is the argument with the codes. `doubled` turns the outputs of a call into those
/// for twice the queries.
std::vector<Scenario> query_scenarios(const Op& op, const std::string& codes,
                                      std::function<void(Observation& want)> doubled);

}  // namespace dsv4
