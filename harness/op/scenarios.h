/// How ops write their relations and sequences, and the points of any scenario. Contracts: harness/op/contracts.h.
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
/// Points for a scenario that runs on these in every tier, and from the quick tier on on these `more` as well.
Points only(std::vector<Params> points, std::vector<Params> more = {});

/// A property of calls that needs no reference.
Scenario relation(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// Calls that follow each other.
Scenario sequence(std::string name, std::string meaning, Points points, std::function<void(ScenarioContext&)> run);

/// "relation:repeat", which every op has, on these points besides the op's smoke points: for an op none of which takes
/// the path that could vary.
Scenario repeat_relation(Points points = {});

/// "relation:late_<argument>", which every op has for each tensor that it passes on the device: programmatic dependent
/// launch with a predecessor that is as slow as it can be.
Scenario late_relation(const std::string& argument, Points points);
/// "relation:late_allocated": the same of what the function allocates, on points where it allocates something.
Scenario late_allocation_relation(Points points);

/// A relation: with parameters changed by `change`, what is observed stays the same.
Scenario params_relation(std::string name, std::string meaning, Points points, std::function<void(Params&)> change);

/// A relation: every value of this parameter, a word, gives the same outputs.
Scenario any_word_relation(std::string name, std::string meaning, Points points, std::string param);

/// A relation: what is observed of a changed call is what is observed of the original, changed accordingly. `change`
/// makes the one case, call and observation of the other.
Scenario call_relation(std::string name, std::string meaning, Points points,
                       std::function<void(Case&, Call&, Observation& want)> change);

/// "relation:any_batch": what is observed of a row, the first dimension of every output, depends on no other row. The
/// rows are shuffled and computed in two calls, a sixth of them and the rest; `keep` leaves a call only some of them.
Scenario batch_relation(std::string meaning, Points points,
                        std::function<void(Call&, const std::vector<std::int64_t>& rows)> keep);

/// Fails the scenario for each of the findings.
void fail_each(ScenarioContext& x, const std::vector<Finding>& findings);

/// Adds `more` behind the scenarios of `list`.
void append(std::vector<Scenario>& list, std::vector<Scenario> more);

}  // namespace dsv4
