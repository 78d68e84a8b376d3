#include "harness/ops/compress/plan_pairs.h"

#include <memory>
#include <utility>

#include "harness/core/error.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

/// The inputs of a pair. They depend only on the case.
struct Inputs {
  Batch batch;
  std::shared_ptr<const CacheMaps> maps;

  explicit Inputs(const Case& c)
      : batch(make_batch(c.params, c.seed)),
        maps(std::make_shared<const CacheMaps>(make_maps(batch, c.params, c.seed))) {}
};

Call planner_call(const std::string& planner, std::int64_t ratio, const Case& c) {
  const Inputs in(c);
  if (planner == "plan_prefill") {
    return prefill_plan_call({.ratio = ratio, .lens_on_device = true}, in.batch, *in.maps);
  }
  if (planner == "plan_decode") return decode_plan_call(ratio, in.batch, *in.maps);
  if (planner == "plan_prefill_legacy") return legacy_prefill_plan_call(ratio, false, in.batch);
  if (planner == "plan_decode_legacy") return legacy_decode_plan_call(ratio, in.batch);
  throw Error(fmt::format("'{}' is not a planner", planner));
}

Planned planned_by(const std::string& planner, std::int64_t ratio, const Case& c, std::vector<HostTensor> plans) {
  Inputs in(c);
  Planned planned{.batch = std::move(in.batch), .state_rows = 0, .row = {}, .plans = std::move(plans)};
  if (planner.ends_with("_legacy")) {
    const std::int64_t ring = window_of(ratio);  // each request owns a ring of one window
    planned.state_rows = ring * pool_size(planned.batch.size());
    planned.row = [ring](std::int64_t id, std::int64_t position) { return ring * id + position % ring; };
  } else {
    planned.state_rows = in.maps->rows();
    planned.row = [maps = in.maps](std::int64_t id, std::int64_t position) { return maps->row(id, position); };
  }
  return planned;
}

}  // namespace

std::vector<Pair> pairs_with(const std::vector<std::string>& planners, std::int64_t ratio, const Points& points,
                             std::function<Call(const Case&, const Planned&)> consume) {
  std::vector<Pair> list;
  for (const std::string& planner : planners) {
    const bool decode = planner.starts_with("plan_decode");
    list.push_back({.producer = planner,
                    .takes = decode ? std::vector<std::string>{"plan_d"} : std::vector<std::string>{"plan_c", "plan_w"},
                    .points = points,
                    .produce = [planner, ratio](const Case& c) { return planner_call(planner, ratio, c); },
                    .consume =
                        [planner, ratio, consume](const Case& c, const std::vector<HostTensor>& plans) {
                          return consume(c, planned_by(planner, ratio, c, plans));
                        }});
  }
  return list;
}

}  // namespace dsv4
