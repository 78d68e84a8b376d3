/// How ops declare their contracts: calls that must be refused, and extreme calls that are legal.
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

/// Adds contracts to an op's scenarios, all on the same points. Each contract takes the call of a valid case and
/// changes something in it. The function must refuse the changed call because of `argument`; edge() is the exception.
/// Each member except wrong_form() returns the scenario that it added. A contract for sets that can tell device
/// arguments from host arguments is marked there: `.needs_device = true`.
class Contracts {
 public:
  explicit Contracts(std::vector<Scenario>& list, Points points = kFirstSmokePoint);

  Scenario& refused(std::string name, std::string meaning, std::string argument, Change break_it);
  /// Each change alone must be refused. Where the set's errors name arguments, the error must also contain one of the
  /// words in `why`, which '|' separates ("size|element").
  Scenario& refused_each(std::string name, std::string meaning, std::string argument, std::string why,
                         std::vector<Change> changes);
  /// An extreme call that is legal. It must agree with the reference, or be refused without writing anything.
  Scenario& edge(std::string name, std::string meaning, Change change);

  /// Passes `tensor` instead of tensor `argument`.
  Scenario& replaced(std::string name, std::string meaning, std::string argument, HostTensor tensor);
  /// Passes a zeroed tensor instead of tensor `argument`; `change` turns the shape of `argument` into its shape.
  Scenario& reshaped(std::string name, std::string meaning, std::string argument, std::function<void(Shape&)> change);
  /// Passes tensor `argument` in memory `place`, which is the wrong one.
  Scenario& misplaced(std::string name, std::string meaning, std::string argument, Place place);
  /// Passes `value` as integer `argument`.
  Scenario& integer(std::string name, std::string meaning, std::string argument, std::int64_t value);

  // Contracts that fit any tensor argument. Their names begin with the argument's name.

  /// Adds two contracts: `argument` with dtype `other`, and `argument` with one more dimension.
  void wrong_form(const std::string& argument, DType other);
  /// Passes `argument` with a gap after each element.
  Scenario& strided(const std::string& argument);
  Scenario& misplaced(const std::string& argument, Place place);

 private:
  Scenario& add(std::string name, std::string meaning, std::function<void(ScenarioContext&)> run);
  /// Passes the result of `other` instead of tensor `argument`; `other` gets that tensor.
  Scenario& remade(std::string name, std::string meaning, std::string argument,
                   std::function<HostTensor(const HostTensor&)> other);

  std::vector<Scenario>& list_;
  Points points_;
};

}  // namespace dsv4
