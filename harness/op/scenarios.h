/// How ops declare relations and sequences, and the points of any scenario. Contracts are in harness/op/contracts.h.
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
/// Points for a scenario that runs on `points` in every tier, and also on `more` from the quick tier on.
Points only(std::vector<Params> points, std::vector<Params> more = {});

/// A relation: a property of calls that is checked without comparing them with a reference.
Scenario relation(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// A sequence: several calls in order.
Scenario sequence(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// Makes "relation:repeat", which every op has. It runs on the op's smoke points and on `points`. An op adds points if
/// its smoke points do not reach the code path whose results could vary.
Scenario repeat_relation(Points points = {});

/// Makes "relation:late_<argument>", which every op has for each tensor that it passes on the device. The call uses
/// programmatic dependent launch, and the previous kernel ends as late as possible.
Scenario late_relation(const std::string& argument, Points points);
/// Makes "relation:late_allocated": the same check for memory that the function allocates. At the points the function
/// must allocate something.
Scenario late_allocation_relation(Points points);

/// A relation: the outputs stay the same when `change` changes the parameters.
Scenario params_relation(std::string name, std::string meaning, Points points, std::function<void(Params&)> change);

/// A relation: every value of parameter `param`, which must be a word, gives the same outputs.
Scenario any_word_relation(std::string name, std::string meaning, Points points, std::string param);

/// A relation: a changed call gives the original outputs with a matching change. `change` gets the original case, call
/// and outputs. It turns them into the changed case and call and the outputs that are wanted.
Scenario call_relation(std::string name, std::string meaning, Points points,
                       std::function<void(Case&, Call&, Observation& want)> change);

/// Makes "relation:any_batch": the output of a row does not depend on any other row. Rows are the first dimension of
/// every output. The rows are shuffled and computed in two calls, one with a sixth of them and one with the rest.
/// `keep` removes all other rows from a call.
Scenario batch_relation(std::string meaning, Points points,
                        std::function<void(Call&, const std::vector<std::int64_t>& rows)> keep);

/// Fails the scenario for each of the findings.
void fail_each(ScenarioContext& x, const std::vector<Finding>& findings);

/// Adds `more` behind the scenarios of `list`.
void append(std::vector<Scenario>& list, std::vector<Scenario> more);

}  // namespace dsv4
