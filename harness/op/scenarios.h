/// Helpers with which an op declares relations, sequences and the points of scenarios. Helpers for contracts are
/// in harness/op/contracts.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Points for a scenario that runs on the op's first smoke point.
inline constexpr std::nullptr_t kFirstSmokePoint = nullptr;
/// Points for a scenario that runs on `points` in every tier. From the quick tier on, it also runs on `more`.
Points only(std::vector<Params> points, std::vector<Params> more = {});

/// A relation: a property that must hold between calls. Most relations need no reference.
Scenario relation(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// A sequence: several calls in order.
Scenario sequence(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// Makes "relation:repeat", which every op has. It runs on the op's smoke points and on `points`. An op adds points if
/// its smoke points do not reach a code path whose results could differ from run to run.
Scenario repeat_relation(Points points = {});

/// Makes "relation:late_<argument>". Every op has one for each of its tensor arguments in device memory. The call uses
/// programmatic dependent launch, and the stream's previous kernel ends as late as possible.
Scenario late_relation(const std::string& argument, Points points);
/// Makes "relation:late_allocated": the same check for memory that the function allocates. Choose points at which the
/// function allocates memory.
Scenario late_allocation_relation(Points points);

/// Makes "relation:page_start" or "relation:page_end". Every op has both. All tensors of a call begin (or end) at an
/// inaccessible page, so that an element read or written beyond a tensor ends the process. The outputs must be those of
/// the usual call. The reference and the functions that compute its tolerances are called in the same way.
Scenario edge_relation(Edge edge, Points points);

/// Makes "relation:many_rows": the usual comparison with the reference, from the quick tier on, at points with more
/// rows, tokens or positions than 15 or 16 bits can number. It is a relation because the outputs are too large for
/// goldens.
Scenario many_rows_relation(const Op& op, std::vector<std::string> points);

/// A relation: the outputs stay the same when `change` changes the parameters.
Scenario params_relation(std::string name, std::string meaning, Points points, std::function<void(Params&)> change);

/// A relation: the outputs do not depend on the value of `param`, a parameter with a list of allowed words.
Scenario any_word_relation(std::string name, std::string meaning, Points points, std::string param);

/// A relation: if the call is changed in a certain way, the outputs change in a known way. `change` gets the original
/// case, call and outputs. It changes the case and the call, and turns the outputs into those that the changed call
/// must give.
Scenario call_relation(std::string name, std::string meaning, Points points,
                       std::function<void(Case&, Call&, Observation& want)> change);

/// Makes "relation:any_batch": the output of a row does not depend on any other row. Rows are the first dimension of
/// every output. The rows are shuffled and computed in two calls: one call with a sixth of the rows, and one with the
/// rest. `keep` removes from a call all rows except `rows`.
Scenario batch_relation(std::string meaning, Points points,
                        std::function<void(Call&, const std::vector<std::int64_t>& rows)> keep);

/// Calls the set under test, which may refuse the call. Its findings (guard bands, changed inputs) fail the case.
CallResult attempt(ScenarioContext& x, const std::string& where, const Call& call, const CallOptions& options = {});

/// Fails the scenario for each of the findings.
void fail_each(ScenarioContext& x, const std::vector<Finding>& findings);

/// Appends the scenarios `more` to `list`.
void append(std::vector<Scenario>& list, std::vector<Scenario> more);

}  // namespace dsv4
