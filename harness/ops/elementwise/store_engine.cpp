#include "harness/ops/elementwise/store_engine.h"

#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/online_op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/elementwise/stored_keys.h"

namespace dsv4 {
namespace {

/// The parameters of the maps: small pages, so that requests cross the end of a page.
Params maps_of(const StoreForm& form) {
  return Params().set("ring", form.ring).set("page", std::int64_t{form.ratio == 4 ? 32 : 256}).set("pages", "shuffled");
}

/// Requests without lengths.
Batch requests_with(const std::vector<std::int64_t>& ids) {
  const std::vector<std::int64_t> none(ids.size(), 0);
  return {ids, none, none};
}

}  // namespace

HostTensor empty_cache(const Case& c, std::int64_t slots) {
  const CacheGeometry g(c.params);
  HostTensor cache = HostTensor::make(kU8, {(slots + g.page_size - 1) / g.page_size, g.page_bytes()});
  poison(cache);
  return cache;
}

Call store_call(const Op& op, const Case& c, const HostTensor& entries, const HostTensor& plan,
                const HostTensor& out_loc, const HostTensor& cache, bool is_decode) {
  Call call = op.make(c);
  call.arg("input").tensor() = entries;
  call.arg("plan").tensor() = plan;
  call.arg("out_loc").tensor() = out_loc;
  call.arg("kvcache").tensor() = cache;
  call.arg("is_decode").value = is_decode;
  op.fit(call);
  return call;
}

HostTensor slots_of_batch(const Batch& batch, std::int64_t ratio,
                          const std::function<std::int64_t(const BatchToken&)>& slot_of) {
  std::vector<std::int64_t> slots;
  for (const BatchToken& token : tokens_of(batch))
    slots.push_back((token.position + 1) % ratio == 0 ? slot_of(token) : 0);
  return numbers(slots, kI32);
}

StoreEngine::StoreEngine(ScenarioContext& x, const StoreForm& form, const std::vector<std::int64_t>& ids,
                         std::int64_t longest, std::uint64_t generation)
    : x_(x),
      form_(form),
      longest_(longest),
      params_(Params().set("fill", "gauss").set("head_dim", CacheGeometry(x.c.params).dim())),
      requests_(requests_with(ids), longest, maps_of(form), x.c.seed + generation) {
  const std::int64_t entries = longest / form.ratio, rows = requests_.maps().rows();
  const auto order =
      Random(x.c.seed + generation, "slots of entries").permutation(std::ssize(ids) * entries);  // slot 0 is unused
  for (std::size_t b = 0; b < ids.size(); ++b) {
    for (std::int64_t n = 0; n < entries; ++n)
      slots_[{ids[b], n}] = 1 + order[b * static_cast<std::size_t>(entries) + static_cast<std::size_t>(n)];
  }
  state_ = form.online ? OnlineTokens(params_, x.c.seed).state(rows, {})
                       : OfflineTokens(form.ratio, params_, x.c.seed).state(requests_.maps(), {}, {});
  cache_ = empty_cache(x.c, 1 + std::ssize(order));
}

StoreEngine::StoreEngine(const StoreEngine& before, const std::vector<std::int64_t>& ids, std::uint64_t generation)
    : StoreEngine(before.x_, before.form_, ids, before.longest_, generation) {
  if (before.state_.shape != state_.shape || before.cache_.shape != cache_.shape)
    throw Error("sequence: the requests of two generations must need the same memory");
  state_ = before.state_;
  cache_ = before.cache_;
}

void StoreEngine::share(std::size_t from, std::size_t to, std::int64_t tokens, bool cached) {
  shared_[requests_.ids()[to]] = {requests_.ids()[from], tokens, cached};
  if (cached) requests_.share(from, to, tokens);
}

void StoreEngine::prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
  prefill_step(requests_.grow(extend), false, {}, where);
}

void StoreEngine::verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where) {
  const Batch step = requests_.grow(drafts);
  for (std::size_t b = 0; b < accepted.size(); ++b) requests_.take_back(b, drafts - accepted[b]);
  prefill_step(step, true, requests_.lengths(), where);
}

void StoreEngine::decode(const std::vector<std::int64_t>& goal, const std::string& where) {
  std::vector<std::int64_t> extend;
  for (std::size_t b = 0; b < goal.size(); ++b) extend.push_back(requests_.lengths()[b] < goal[b] ? 1 : 0);
  const Batch step = requests_.grow(extend);
  const Call planner = form_.online ? online_decode_plan_call(step, requests_.maps())
                                    : decode_plan_call(form_.ratio, step, requests_.maps());
  const CallResult plan = call(where + ", plan", planner);
  compress_and_store(step, rows_of(step), {form_.online ? plan.tensor("plan_d") : returned_tensor(plan, 0)}, true,
                     where);
}

CallResult StoreEngine::call(const std::string& where, Call call) {
  const Op& op = *find_op(call.op);
  op.fit(call);
  CallResult result = x_.call(where, call);
  if (form_.online) {
    const Observation got = op.observe(x_.c, call, result);
    x_.expect_agree(where, got, op.observe(x_.c, call, x_.reference.call(call)),
                    op.tolerances(x_.c, call, result, got, x_.reference));
  }
  return result;
}

Observation StoreEngine::read_back() const {
  std::vector<std::int64_t> slots;
  for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
    for (std::int64_t p = form_.ratio - 1; p < requests_.lengths()[b]; p += form_.ratio)
      slots.push_back(slot_of(requests_.ids()[b], p));
  }
  return stored_keys(CacheGeometry(x_.c.params, cache_), cache_, numbers(slots));
}

void StoreEngine::prefill_step(const Batch& step, bool lens_on_device, const std::vector<std::int64_t>& rejected_from,
                               const std::string& where) {
  std::vector<HostTensor> plans;
  if (form_.online) {
    const CallResult plan = call(where + ", plan", online_prefill_plan_call(step, requests_.maps()));
    for (const char* name : {"plan_c_dev", "plan_w_dev"}) plans.push_back(plan_tensor(online_plan(plan, name)));
  } else {
    const PrefillPlanForm how{.ratio = form_.ratio, .lens_on_device = lens_on_device};
    const CallResult plan = call(where + ", plan", prefill_plan_call(how, step, requests_.maps()));
    for (const std::size_t i : {0u, 1u}) plans.push_back(returned_tensor(plan, i));
  }
  compress_and_store(step, rows_of(step, rejected_from), plans, false, where);
}

void StoreEngine::compress_and_store(const Batch& step, const HostTensor& input, const std::vector<HostTensor>& plans,
                                     bool is_decode, const std::string& where) {
  const std::string op =
      fmt::format("compress_c{}{}_{}", form_.ratio, form_.online ? "_online" : "", is_decode ? "decode" : "prefill");
  Call compress = form_.online ? OnlineTokens(params_, x_.c.seed).call(op, state_, input, plans)
                               : OfflineTokens(form_.ratio, params_, x_.c.seed).call(op, state_, input, plans);
  const CallResult compressed = call(where + ", compress", std::move(compress));
  state_ = compressed.tensor("kv_buffer");

  const HostTensor slots =
      slots_of_batch(step, form_.ratio, [this](const BatchToken& t) { return slot_of(t.id, t.position); });
  const Call store = store_call(x_.op, x_.c, compressed.tensor("kv_output"), plans.front(), slots, cache_, is_decode);
  const CallResult stored = x_.call(where + ", store", store);
  const Observation got = x_.op.observe(x_.c, store, stored);
  x_.expect_agree(where, got, x_.expected(store), x_.op.tolerances(x_.c, store, stored, got, x_.reference));
  cache_ = stored.tensor("kvcache");
}

HostTensor StoreEngine::rows_of(const Batch& step, const std::vector<std::int64_t>& rejected_from) const {
  const auto rows = [&](const Batch& batch, const std::vector<std::int64_t>& rejected) {
    return form_.online ? OnlineTokens(params_, x_.c.seed).input(batch)
                        : OfflineTokens(form_.ratio, params_, x_.c.seed).input(batch, rejected);
  };
  HostTensor input = rows(step, rejected_from);
  for (const BatchToken& t : tokens_of(step)) {
    const auto shared = shared_.find(t.id);
    if (shared == shared_.end() || t.position >= shared->second.tokens) continue;
    const HostTensor own = rows({{shared->second.owner}, {t.position + 1}, {1}}, {});
    std::ranges::copy(own.storage, input.storage.begin() + t.row * std::ssize(own.storage));
  }
  return input;
}

std::int64_t StoreEngine::slot_of(std::int64_t id, std::int64_t position) const {
  const auto shared = shared_.find(id);
  const bool of_owner = shared != shared_.end() && shared->second.cached && position < shared->second.tokens;
  return slots_.at({of_owner ? shared->second.owner : id, position / form_.ratio});
}

}  // namespace dsv4
