/// Scenarios of the compress family, short to write: lists of contracts (broken arguments, each of which must be
/// refused by name), relations and sequences.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Adds contracts to a list, all on the same points.
class ContractList {
 public:
  explicit ContractList(std::function<std::vector<Params>(Tier)> points) : points_(std::move(points)) {}

  void add(std::string name, std::string meaning, const std::string& argument, std::function<void(Call&)> break_it) {
    list_.push_back(contract(std::move(name), std::move(meaning), argument, std::move(break_it), points_));
  }
  void edge(std::string name, std::string meaning, std::function<void(Call&)> change) {
    list_.push_back(edge_contract(std::move(name), std::move(meaning), std::move(change), points_));
  }
  /// Tensor `argument` of another dtype, and of one dimension more.
  void wrong_form(const std::string& argument, DType other) {
    replaced(argument + "_dtype", "elements of another type are refused, not reinterpreted", argument,
             [other](const HostTensor& t) { return HostTensor::make(other, t.shape); });
    replaced(argument + "_rank", "a dimension too many is refused", argument, [](const HostTensor& t) {
      Shape shape = t.shape;
      shape.push_back(1);
      return HostTensor::make(t.dtype, shape);
    });
  }
  /// Tensor `argument` with a gap after each element.
  void strided(const std::string& argument) {
    replaced(argument + "_strided", "elements with gaps between them are refused, not read as if there were none",
             argument, [](const HostTensor& t) {
               Shape strides(t.rank());
               std::int64_t step = 2;
               for (std::size_t d = t.rank(); d-- > 0; step *= t.shape[d]) strides[d] = step;
               return HostTensor::strided(t.dtype, t.shape, strides);
             });
  }
  /// Tensor `argument` of the shape that `change` makes of its own.
  void reshaped(std::string name, std::string meaning, const std::string& argument,
                std::function<void(Shape&)> change) {
    replaced(std::move(name), std::move(meaning), argument, [change = std::move(change)](const HostTensor& t) {
      Shape shape = t.shape;
      change(shape);
      return HostTensor::make(t.dtype, shape);
    });
  }
  /// Tensor `argument` where it does not belong.
  void misplaced(const std::string& argument, Place place) {
    list_.push_back(device_only(contract(
        argument + (place == Place::kHost ? "_on_host" : "_on_device"),
        "a tensor in the wrong memory is refused, not dereferenced", argument,
        [argument, place](Call& call) { call.arg(argument).place = place; }, points_)));
  }
  void integer(const std::string& argument, const std::string& name, std::int64_t value, std::string meaning) {
    add(name, std::move(meaning), argument, [argument, value](Call& call) { call.arg(argument).value = value; });
  }

  [[nodiscard]] std::vector<Scenario> take() { return std::move(list_); }

 private:
  /// Tensor `argument`, replaced by what `other` makes of it.
  void replaced(std::string name, std::string meaning, const std::string& argument,
                std::function<HostTensor(const HostTensor&)> other) {
    add(std::move(name), std::move(meaning), argument, [argument, other = std::move(other)](Call& call) {
      Arg& a = call.arg(argument);
      a.value = other(a.tensor());
      a.footprint.clear();  // that of the tensor that was
    });
  }

  std::function<std::vector<Params>(Tier)> points_;
  std::vector<Scenario> list_;
};

/// A property of calls that needs no reference.
inline Scenario relation(std::string name, std::string meaning, std::function<std::vector<Params>(Tier)> points,
                         std::function<void(ScenarioContext&)> run) {
  return {Scenario::Kind::kRelation, std::move(name), std::move(meaning), std::move(points), std::move(run)};
}

/// Calls that follow each other.
inline Scenario sequence(std::string name, std::string meaning, std::function<std::vector<Params>(Tier)> points,
                         std::function<void(ScenarioContext&)> run) {
  return {Scenario::Kind::kSequence, std::move(name), std::move(meaning), std::move(points), std::move(run)};
}

/// Points for a scenario that runs on these, in every tier from `tier` on.
inline std::function<std::vector<Params>(Tier)> only(std::vector<Params> points, Tier tier = Tier::kSmoke) {
  return [points = std::move(points), tier](Tier t) { return t == tier ? points : std::vector<Params>{}; };
}

}  // namespace dsv4
