#include "harness/run/shrink.h"

#include <algorithm>

namespace dsv4 {
namespace {

CaseList last(const CaseList& list, std::size_t n) { return {list.end() - static_cast<std::ptrdiff_t>(n), list.end()}; }

/// The list without the cases from `begin` on, `count` of them.
CaseList without(const CaseList& list, std::size_t begin, std::size_t count) {
  CaseList rest(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(begin));
  const std::size_t end = std::min(begin + count, list.size());
  rest.insert(rest.end(), list.begin() + static_cast<std::ptrdiff_t>(end), list.end());
  return rest;
}

}  // namespace

Shrunk shrink(const CaseList& earlier, const std::function<bool(const CaseList&)>& fails,
              const std::function<bool()>& may_go_on) {
  Shrunk found;
  for (std::size_t n = 1; found.cases.empty(); n = std::min(2 * n, earlier.size())) {
    if (earlier.empty()) return {{}, true};
    if (!may_go_on()) return {{}, false};
    n = std::min(n, earlier.size());
    if (const CaseList part = last(earlier, n); fails(part)) {
      found.cases = part;
    } else if (n == earlier.size()) {
      return {{}, true};
    }
  }
  std::size_t part = (found.cases.size() + 1) / 2;
  while (found.cases.size() > 1) {
    bool removed = false;
    for (std::size_t begin = 0; begin < found.cases.size() && found.cases.size() > part;) {
      if (!may_go_on()) return found;
      const CaseList rest = without(found.cases, begin, part);
      if (!rest.empty() && fails(rest)) {
        found.cases = rest;
        removed = true;
      } else {
        begin += part;
      }
    }
    if (part > 1) {
      part = (part + 1) / 2;
    } else if (!removed) {
      break;
    }
  }
  found.complete = true;
  return found;
}

}  // namespace dsv4
