#include "harness/op/contracts.h"

#include <fmt/format.h>

#include <utility>

namespace dsv4 {

Contracts::Contracts(std::vector<Scenario>& list, Points points) : list_(list), points_(std::move(points)) {}

Scenario& Contracts::add(std::string name, std::string meaning, std::function<void(ScenarioContext&)> run) {
  list_.push_back({Scenario::Kind::kContract, std::move(name), std::move(meaning), points_, std::move(run)});
  return list_.back();
}

Scenario& Contracts::refused_each(std::string name, std::string meaning, std::string argument, std::string why,
                                  std::vector<Change> changes) {
  return add(std::move(name), std::move(meaning),
             [argument = std::move(argument), why = std::move(why), changes = std::move(changes)](ScenarioContext& x) {
               const Call right = x.op.make(x.c);
               for (std::size_t i = 0; i < changes.size(); ++i) {
                 Call call = right;
                 changes[i](call);
                 x.expect_refused(changes.size() == 1 ? "bad call" : fmt::format("bad call {}", i + 1), call, argument,
                                  why);
               }
             });
}

Scenario& Contracts::refused(std::string name, std::string meaning, std::string argument, Change break_it) {
  return add(std::move(name), std::move(meaning),
             [argument = std::move(argument), break_it = std::move(break_it)](ScenarioContext& x) {
               Call call = x.op.make(x.c);
               break_it(call);
               x.expect_refused("bad call", call, argument);
             });
}

Scenario& Contracts::edge(std::string name, std::string meaning, Change change) {
  return add(std::move(name), std::move(meaning), [change = std::move(change)](ScenarioContext& x) {
    Call call = x.op.make(x.c);
    change(call);
    x.expect_clean("edge call", call);
  });
}

Scenario& Contracts::remade(std::string name, std::string meaning, std::string argument,
                            std::function<HostTensor(const HostTensor&)> other) {
  return refused(std::move(name), std::move(meaning), argument, [argument, other = std::move(other)](Call& call) {
    Arg& a = call.arg(argument);
    a.value = other(a.tensor());
    a.footprint.clear();  // the footprint belongs to the old tensor
  });
}

Scenario& Contracts::replaced(std::string name, std::string meaning, std::string argument, HostTensor tensor) {
  return remade(std::move(name), std::move(meaning), std::move(argument),
                [tensor = std::move(tensor)](const HostTensor&) { return tensor; });
}

Scenario& Contracts::reshaped(std::string name, std::string meaning, std::string argument,
                              std::function<void(Shape&)> change) {
  return remade(std::move(name), std::move(meaning), std::move(argument),
                [change = std::move(change)](const HostTensor& t) {
                  Shape shape = t.shape;
                  change(shape);
                  return HostTensor::make(t.dtype, shape);
                });
}

Scenario& Contracts::misplaced(std::string name, std::string meaning, std::string argument, Place place) {
  Scenario& added = refused(std::move(name), std::move(meaning), argument,
                            [argument, place](Call& call) { call.arg(argument).place = place; });
  added.needs_device = true;
  return added;
}

Scenario& Contracts::integer(std::string name, std::string meaning, std::string argument, std::int64_t value) {
  return refused(std::move(name), std::move(meaning), argument,
                 [argument, value](Call& call) { call.arg(argument).value = value; });
}

void Contracts::wrong_form(const std::string& argument, DType other) {
  remade(argument + "_dtype", "a tensor with another dtype is refused, not reinterpreted", argument,
         [other](const HostTensor& t) { return HostTensor::make(other, t.shape); });
  reshaped(argument + "_rank", "a tensor with one dimension too many is refused", argument,
           [](Shape& s) { s.push_back(1); });
}

Scenario& Contracts::strided(const std::string& argument) {
  return remade(argument + "_strided",
                "a tensor with gaps between its elements is refused, not read as if it had no gaps", argument,
                [](const HostTensor& t) {
                  Shape strides(t.rank());
                  std::int64_t step = 2;
                  for (std::size_t d = t.rank(); d-- > 0; step *= t.shape[d]) strides[d] = step;
                  return HostTensor::strided(t.dtype, t.shape, strides);
                });
}

Scenario& Contracts::misplaced(const std::string& argument, Place place) {
  return misplaced(argument + (place == Place::kHost ? "_on_host" : "_on_device"),
                   "a tensor in the wrong memory is refused, and its memory is not accessed", argument, place);
}

}  // namespace dsv4
