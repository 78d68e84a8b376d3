/// Helpers for the tests of goldens: a small op, kernel sets made of functions, and temporary folders.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "harness/core/error.h"
#include "harness/golden/file.h"
#include "harness/golden/record.h"
#include "harness/golden/verify.h"

namespace dsv4::golden_test {

/// The op y = 2 x. It has two outputs: "y" has n elements, and "first" is y[0], rounded to an integer. The parameter
/// `judge` chooses the tolerance of y: exact, exact_nan, bound (1e-3) or interval. The interval ends one float below
/// and one float above the reference.
const Op& probe_op();
CheckedCase probe(std::int64_t n, const std::string& judge, std::uint64_t seed = 1);

/// A kernel set with one function, `body`, which computes y from x.
class FakeCaller final : public Caller {
 public:
  using Body = std::function<void(const float* x, float* y, std::int64_t n)>;
  FakeCaller(std::string name, bool reference, Body body)
      : name_(std::move(name)), reference_(reference), body_(std::move(body)) {}

  CallResult call(const Call& call, const CallOptions& options) override;
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return reference_; }
  [[nodiscard]] bool errors_name_arguments() const override { return true; }

  int calls = 0;
  std::string refusal;            ///< if it is not empty, every call is refused with this text
  bool unsupported = false;       ///< if true, every call throws Unsupported
  std::vector<Finding> findings;  ///< the findings that every call reports

 private:
  std::string name_;
  bool reference_;
  Body body_;
};

FakeCaller honest(const std::string& name = "good", bool reference = false);
/// Like honest(), which computes y = 2 x, but `by` is added to y[at].
FakeCaller off_by(std::int64_t at, float by, const std::string& name = "bad", bool reference = false);

/// A temporary folder. The destructor removes it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string str() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string slurp(const std::string& path);
void spill(const std::string& path, const std::string& bytes);

/// Returns the text of the Error that `action` throws, or "" if it throws none.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// Returns a golden of set "good" with `cases` cases of the probe op. Their outputs are small and large, and some have
/// NaN, infinity and -0.
Golden sample_golden(int cases = 12);

}  // namespace dsv4::golden_test
