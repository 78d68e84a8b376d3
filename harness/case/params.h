/// The parameters of a case are an ordered list of names and values (Params). ParamSpec describes the allowed values of
/// one parameter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dsv4 {

/// Ordered pairs of a name and a value. Values are kept as canonical text: integers have no leading zeros and no
/// plus sign.
class Params {
 public:
  Params() = default;
  Params(std::initializer_list<std::pair<std::string, std::string>> pairs) : pairs_(pairs) {}

  /// Sets or replaces a value; an existing name keeps its position. Returns *this, so that calls can be chained.
  Params& set(std::string_view name, std::string_view value);
  Params& set(std::string_view name, std::int64_t value) { return set(name, std::to_string(value)); }
  Params& set(std::string_view name, const char* value) { return set(name, std::string_view(value)); }

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  /// The value's text. Throws Error if the parameter is absent.
  [[nodiscard]] const std::string& text(std::string_view name) const;
  /// The value as an integer. Throws Error if the parameter is absent or not an integer.
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  /// True for "1", false for "0"; throws Error otherwise.
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] bool is(std::string_view name, std::string_view value) const { return text(name) == value; }

  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }
  /// "k=512,batch=4".
  [[nodiscard]] std::string str() const;
  bool operator==(const Params&) const = default;

 private:
  [[nodiscard]] const std::string* find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> pairs_;
};

/// One parameter of an op's space: an integer range or a closed list of words.
struct ParamSpec {
  std::string name;
  std::string meaning;
  std::vector<std::string> choices;  ///< if not empty, the value is a word of this list
  std::int64_t min = 0;              ///< if `choices` is empty, the value is an integer in [min, max]
  std::int64_t max = 0;
  std::vector<std::int64_t> interesting;  ///< integers that random cases (soak) often take instead of others
  std::string usual = {};  ///< value in a point that does not name the parameter; "": each point must name it
  std::vector<std::string> quick = {};  ///< values in coverings of the quick tier; if empty, they do not vary it
  std::vector<std::string> full = {};   ///< the same for the full tier

  static ParamSpec choice(std::string name, std::vector<std::string> choices, std::string meaning);
  static ParamSpec integer(std::string name, std::int64_t min, std::int64_t max, std::string meaning,
                           std::vector<std::int64_t> interesting = {});

  /// nullopt if `value` is allowed; otherwise a sentence that says what is allowed.
  [[nodiscard]] std::optional<std::string> reject(std::string_view value) const;
};

}  // namespace dsv4
