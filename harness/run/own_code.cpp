#include "harness/run/own_code.h"

#include <fmt/format.h>

#include <new>

namespace dsv4 {

bool says_its_cause(const std::exception& e) {
  return dynamic_cast<const CaseEnd*>(&e) != nullptr || dynamic_cast<const SetError*>(&e) != nullptr ||
         dynamic_cast<const std::bad_alloc*>(&e) != nullptr || dynamic_cast<const InternalError*>(&e) != nullptr;
}

InternalError internal_error(const Case& c, std::string_view step, const std::exception& e) {
  return {fmt::format("op '{}', case '{}', {}", c.op, c.id(), step), e.what()};
}

}  // namespace dsv4
