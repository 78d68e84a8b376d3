/// Helpers with which an op declares its contracts. A contract is a call that must be refused, or an extreme call that
/// is legal.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/op/scenarios.h"

namespace dsv4 {

/// The change that a contract makes to a valid call.
using Change = std::function<void(Call&)>;

/// Adds contracts to an op's scenarios. All of them run on the same points. Each contract takes the call of a valid
/// case and changes something in the call. The function must refuse the changed call because of `argument`. The
/// exception is edge(), whose changed call is legal. Each member except wrong_form() returns the scenario that it
/// added, so that its fields can be changed. For example, `.needs_device = true` limits it to sets that can tell device
/// arguments from host arguments.
class Contracts {
 public:
  explicit Contracts(std::vector<Scenario>& list, Points points = kFirstSmokePoint);

  Scenario& refused(std::string name, std::string meaning, std::string argument, Change break_it);
  /// Makes one call for each change. The function must refuse every one of these calls. If the set's errors name
  /// arguments, the error must also contain one of the words in `why`. The words are separated by '|' ("size|element").
  Scenario& refused_each(std::string name, std::string meaning, std::string argument, std::string why,
                         std::vector<Change> changes);
  /// An extreme call that is legal. Its outputs must agree with those of the reference, or the function must refuse the
  /// call without writing anything.
  Scenario& edge(std::string name, std::string meaning, Change change);

  /// A contract with its own check.
  Scenario& add(std::string name, std::string meaning, std::function<void(ScenarioContext&)> run);

  /// Passes `tensor` instead of tensor `argument`.
  Scenario& replaced(std::string name, std::string meaning, std::string argument, HostTensor tensor);
  /// Passes a zeroed tensor instead of tensor `argument`. `change` gets the shape of `argument` and turns it into the
  /// shape of the new tensor.
  Scenario& reshaped(std::string name, std::string meaning, std::string argument, std::function<void(Shape&)> change);
  /// Passes tensor `argument` in memory `place`, which is the wrong memory for it.
  Scenario& misplaced(std::string name, std::string meaning, std::string argument, Place place);
  /// Passes `value` for the integer argument `argument`.
  Scenario& integer(std::string name, std::string meaning, std::string argument, std::int64_t value);

  // Contracts that fit any tensor argument. Their names begin with the argument's name.

  /// Adds two contracts: `argument` with dtype `other`, and `argument` with one more dimension.
  void wrong_form(const std::string& argument, DType other);
  /// Passes `argument` with a gap after each element.
  Scenario& strided(const std::string& argument);
  Scenario& misplaced(const std::string& argument, Place place);

 private:
  /// Passes `other(t)` instead of `t`, the tensor of `argument`.
  Scenario& remade(std::string name, std::string meaning, std::string argument,
                   std::function<HostTensor(const HostTensor&)> other);

  std::vector<Scenario>& list_;
  Points points_;
};

}  // namespace dsv4
