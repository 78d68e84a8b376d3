/// How ops write their contracts: what must be refused by name, and what is legal at the edge.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/op/scenarios.h"

namespace dsv4 {

/// What a contract changes in a valid call.
using Change = std::function<void(Call&)>;

/// Adds contracts to an op's scenarios, all on the same points. Each call is that of a valid case with something
/// changed in it; all but edge() must be refused because of `argument`. A function returns the scenario that it added,
/// so that one for sets that tell device arguments from host arguments can be marked: `.needs_device = true`.
class Contracts {
 public:
  explicit Contracts(std::vector<Scenario>& list, Points points = kFirstSmokePoint);

  Scenario& refused(std::string name, std::string meaning, std::string argument, Change break_it);
  /// Each of the changes alone must be refused, and the error contain one of the words in `why` ("size|element"), where
  /// the set's errors name arguments.
  Scenario& refused_each(std::string name, std::string meaning, std::string argument, std::string why,
                         std::vector<Change> changes);
  /// A call that is legal at the edge: it must succeed as the reference does, or be refused cleanly.
  Scenario& edge(std::string name, std::string meaning, Change change);

  /// Another tensor in the place of `argument`.
  Scenario& replaced(std::string name, std::string meaning, std::string argument, HostTensor tensor);
  /// Tensor `argument` of the shape that `change` makes of its own.
  Scenario& reshaped(std::string name, std::string meaning, std::string argument, std::function<void(Shape&)> change);
  /// Tensor `argument` in the wrong memory.
  Scenario& misplaced(std::string name, std::string meaning, std::string argument, Place place);
  /// Integer `argument` of another value.
  Scenario& integer(std::string name, std::string meaning, std::string argument, std::int64_t value);

  // The same for any tensor: named after it, and with a meaning that fits all.

  /// Of another dtype, and of one dimension more: two contracts.
  void wrong_form(const std::string& argument, DType other);
  /// With a gap after each element.
  Scenario& strided(const std::string& argument);
  Scenario& misplaced(const std::string& argument, Place place);

 private:
  Scenario& add(std::string name, std::string meaning, std::function<void(ScenarioContext&)> run);
  /// Tensor `argument` replaced by what `other` makes of it.
  Scenario& remade(std::string name, std::string meaning, std::string argument,
                   std::function<HostTensor(const HostTensor&)> other);

  std::vector<Scenario>& list_;
  Points points_;
};

}  // namespace dsv4
