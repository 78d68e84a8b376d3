#include "harness/run/case_answer.h"

namespace dsv4 {

void to_json(nlohmann::json& j, const CaseAnswer& answer) {
  j = {{"result", answer.result}, {"entry", answer.entry}, {"cannot_go_on", answer.cannot_go_on}};
}

void from_json(const nlohmann::json& j, CaseAnswer& answer) {
  answer.result = j.at("result").get<CaseResult>();
  answer.entry = j.at("entry");
  answer.cannot_go_on = j.at("cannot_go_on").get<bool>();
}

}  // namespace dsv4
