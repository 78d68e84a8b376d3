/// Contracts that planners share: broken arguments, each of which must be refused by name.
#pragma once

#include <string>
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
    add(argument + "_dtype", "elements of another type are refused, not reinterpreted", argument,
        [argument, other](Call& call) {
          HostTensor& t = call.arg(argument).tensor();
          t = HostTensor::make(other, t.shape);
        });
    add(argument + "_rank", "a dimension too many is refused", argument, [argument](Call& call) {
      HostTensor& t = call.arg(argument).tensor();
      Shape shape = t.shape;
      shape.push_back(1);
      t = HostTensor::make(t.dtype, shape);
    });
  }
  /// Tensor `argument` with a gap after each element.
  void strided(const std::string& argument) {
    add(argument + "_strided", "elements with gaps between them are refused, not read as if there were none", argument,
        [argument](Call& call) {
          HostTensor& t = call.arg(argument).tensor();
          Shape strides(t.rank());
          std::int64_t step = 2;
          for (std::size_t d = t.rank(); d-- > 0; step *= t.shape[d]) strides[d] = step;
          t = HostTensor::strided(t.dtype, t.shape, strides);
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
  std::function<std::vector<Params>(Tier)> points_;
  std::vector<Scenario> list_;
};

/// Points for a scenario that runs on these, in every tier from `tier` on.
inline std::function<std::vector<Params>(Tier)> only(std::vector<Params> points, Tier tier = Tier::kSmoke) {
  return [points = std::move(points), tier](Tier t) { return t == tier ? points : std::vector<Params>{}; };
}

}  // namespace dsv4
