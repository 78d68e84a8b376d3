#include "harness/run/case_answer.h"

#include <fmt/format.h>

#include <new>

#include "harness/core/error.h"
#include "harness/workers/worker.h"

namespace dsv4 {

CaseAnswer answer_of(const std::string& id, const SideNames& names, const std::function<CaseAnswer()>& tried,
                     bool& out_of_memory) {
  const auto not_about_kernels = [&](const std::exception& e) {
    return CaseAnswer{.result = CaseResult::error(id, names, e.what()), .cannot_go_on = true};
  };
  try {
    return tried();
  } catch (const std::bad_alloc&) {
    lift_memory_limit();
    out_of_memory = true;
    return {CaseResult::error(
        id, names, "out of memory: the worker reached its limit (--memory), or the machine has no free memory")};
  } catch (const Error& e) {
    return not_about_kernels(e);
  } catch (const InternalError& e) {
    return not_about_kernels(e);
  } catch (const std::exception& e) {
    const std::string op = id.substr(0, id.find('/'));
    return not_about_kernels(InternalError(fmt::format("op '{}', case '{}', preparing the case", op, id), e.what()));
  }
}

void to_json(nlohmann::json& j, const CaseAnswer& answer) {
  j = {{"result", answer.result}, {"entry", answer.entry}, {"cannot_go_on", answer.cannot_go_on}};
}

void from_json(const nlohmann::json& j, CaseAnswer& answer) {
  answer.result = j.at("result").get<CaseResult>();
  answer.entry = j.at("entry");
  answer.cannot_go_on = j.at("cannot_go_on").get<bool>();
}

}  // namespace dsv4
