/// The parameter space of an op lists each parameter once. It makes points from text, in which values are written as in
/// a case id.
///
///   const Space space{number("rows", 1, 1 << 20, "tokens",
///                            {.usual = 5, .quick = {1, 4, 5, 128}, .full = {257, 4097}}),
///                     number("k", 1, 32, "expert ids of a token", {.usual = 6, .quick = {1, 6, 32}}),
///                     word("count", {"device_i32", "host_i32"}, "memory and type of the count")};
///
///   space.at("rows=4 count=host_i32")                       one point; k takes its usual value, 6
///   space.points(Tier::kQuick, "cover")                     every pair of values of the quick columns
///   space.points(Tier::kQuick, "cover k=1|32 at rows=4")    other values for k; rows is fixed and not an axis
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"
#include "harness/case/params.h"

namespace dsv4 {

/// Values of an integer parameter. `usual` is its value in a point that does not name the parameter. A tier's
/// column lists the values that coverings of this tier use. If the column of a tier is empty, its coverings do not
/// vary the parameter.
struct Columns {
  std::int64_t usual = 0;
  std::vector<std::int64_t> both = {};  ///< column of the quick and the full tier, if they are the same
  std::vector<std::int64_t> quick = {};
  std::vector<std::int64_t> full = {};
  std::vector<std::int64_t> soak = {};  ///< further values that random cases prefer, besides those of the columns
};

/// An integer in [min, max].
ParamSpec number(std::string name, std::int64_t min, std::int64_t max, std::string meaning, Columns columns);
/// A word of `choices` or of `more`. The first choice is the usual value. `choices` is the column of the quick and the
/// full tier. A covering uses a word of `more` only if its line names the word.
ParamSpec word(std::string name, std::vector<std::string> choices, std::string meaning,
               std::vector<std::string> more = {});
/// "0" or "1".
ParamSpec flag(std::string name, std::string meaning);

/// Repeats each line once for each value. The value replaces the first "{}" in the line. Throws Error if a line has
/// no "{}".
std::vector<std::string> each(const std::vector<std::string>& lines, const std::vector<std::string>& values);
/// The same with every pair of values, for the line's first two "{}".
inline std::vector<std::string> each(const std::vector<std::string>& lines, const std::vector<std::string>& values,
                                     const std::vector<std::string>& second) {
  return each(each(lines, values), second);
}
/// The lines of all lists, as one list.
std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> lists);

class Space {
 public:
  /// Says why a combination of parameters is not a case; nullopt if it is a case. Each parameter is in its own range.
  using Reject = std::function<std::optional<std::string>(const Params&)>;
  /// Names the parameters whose value makes no difference at a point.
  using Idle = std::function<std::vector<std::string>(const Params&)>;

  Space() = default;
  Space(std::initializer_list<ParamSpec> specs) : specs_(specs) {}
  explicit Space(std::vector<ParamSpec> specs) : specs_(std::move(specs)) {}

  Space& add(ParamSpec spec) {
    specs_.push_back(std::move(spec));
    return *this;
  }
  /// A copy of this space, with more parameters after its own.
  [[nodiscard]] Space with(std::vector<ParamSpec> more) const;
  [[nodiscard]] const std::vector<ParamSpec>& specs() const { return specs_; }
  /// The parameter of this name; nullptr if there is none.
  [[nodiscard]] const ParamSpec* find(std::string_view name) const;

  /// Parses a point, "name=value name=value". The parameters that it does not name take their usual values. The result
  /// has the parameters in the space's order. Throws an Error that names the point and the wrong part, such as an
  /// unknown name or a value out of range.
  [[nodiscard]] Params at(std::string_view point) const;

  /// The points of one line. A line is a covering ("cover ...") or a point. A covering contains all pairs of values of
  /// its axes. Every parameter with a column for `tier` is an axis. "name=a|b" gives an axis other values. Parameters
  /// after "at" are fixed and are not axes. Rows that `reject` refuses are left out.
  ///
  /// If a pair of values occurs only in rows where one of the two parameters is idle, a row is added in which neither
  /// parameter is idle, if there is a valid one.
  [[nodiscard]] std::vector<Params> points(Tier tier, std::string_view line, const Reject& reject = {},
                                           const Idle& idle = {}) const;
  /// The points of several lines.
  [[nodiscard]] std::vector<Params> points(Tier tier, const std::vector<std::string>& lines, const Reject& reject = {},
                                           const Idle& idle = {}) const;

  /// Throws Error if a line cannot be parsed or a value is out of range. Does not compute coverings.
  void check(const std::vector<std::string>& lines) const;

 private:
  struct Line;
  [[nodiscard]] Line parse(std::string_view line) const;

  std::vector<ParamSpec> specs_;
};

}  // namespace dsv4
