#include "harness/golden/record.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

/// A trial that also makes an entry from the response.
class Recording final : public Trial {
 public:
  using Trial::Trial;
  std::optional<GoldenEntry> entry;

 protected:
  void steps() override {
    Trial::steps();
    const bool answered = !response().result.refusal && result().verdict != Verdict::kError;
    if (answered) entry = make_entry(tried_case(), call(), response(), result());
  }
};

}  // namespace

RecordedCase record_case(const CheckedCase& c, const Sides& sides, const Policy& policy) {
  if (!c.scenario.empty()) throw Error(fmt::format("{}: a scenario cannot be recorded", c.id()));
  Recording recording(c, sides, policy);
  RecordedCase recorded;
  recorded.result = recording.run();
  recorded.entry = std::move(recording.entry);
  return recorded;
}

}  // namespace dsv4
