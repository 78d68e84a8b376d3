/// The contract about indices: values of an integer tensor that name a row outside the memory they refer to.
///
/// The host cannot check values on the device. So a kernel must bound them itself. A call with a value outside is right
/// if nothing outside the arguments is read or written, and if it has one of two answers:
///
/// - The function refuses the call.
/// - The rows of the batch that do not use the value keep their bits. The rows that use it have a defined result: it
///   does not depend on the memory around the arguments. The contract does not say which result. The comment on the
///   op's function in reference/ says what the reference and the in-tree kernels give.
///
/// An access far outside crashes. An access just outside meets a guard band, whose bytes differ between two calls. If
/// the set shows edges (Caller::shows_edges), it meets an inaccessible page.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Whether the harness derives the contract: true for an integer input in device memory that has the batch's dimension
/// first, and for a tensor with Traits::index.
bool holds_indices(const Argument& a, const Signature& signature);

/// Makes "contract:<called>_outside".
Scenario indices_contract(const Argument& a, Points points);

/// Values of `dtype` outside [0, limit): negative, the limit, and far past it. For counts, the limit is valid, and 0
/// is one of the values. A negative limit means that there is none; then the values are negative or far.
std::vector<std::int64_t> values_outside(std::int64_t limit, bool count, DType dtype);

/// The part of a scenario that a contract about indices shares: tries the call `bad`, which differs from a valid call
/// only in the value that `where` names. `usual` is the observation of the valid call, made when it is first needed.
/// `others` returns the part of an observation that must keep its bits, and `own` the part that the value may change.
/// The result is observed as a result of `read_as`, which is `bad` or the valid call. The findings of op.observe() are
/// ignored, because they are about valid calls.
/// The report has the outputs of `own` under their own names, which end in kOfOwnRows.
using Part = std::function<Observation(const Observation&)>;
constexpr const char* kOfOwnRows = " of its rows";
void try_outside(ScenarioContext& x, const std::string& where, const Call& bad, const Call& read_as,
                 const std::function<const Observation&()>& usual, const Part& others, const Part& own);

/// A function that makes the call `good` at its first use, and returns the observation.
std::function<const Observation&()> observed_once(ScenarioContext& x, const Call& good);

}  // namespace dsv4
