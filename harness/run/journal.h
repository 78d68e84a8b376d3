/// The journal of a run: each case is written down before it is handed to a worker, so that even the death of the whole
/// run leaves behind which cases were under way.
///
///   start <case id> <tab> <reproduction command>
///   passed <case id>
#pragma once

#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

class Journal {
 public:
  /// A journal nobody asked for: in the temporary folder, removed when the run ends in order. Without one, quietly, if
  /// it cannot be made.
  Journal();
  /// At `path`, kept. Throws Error if it cannot be written.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// "" if there is none.
  [[nodiscard]] const std::string& path() const { return path_; }

  /// A case is about to run, which `reproduce` makes again.
  void start(const std::string& id, const std::string& reproduce);
  void end(const CaseResult& result);

  /// Why lines are missing at its end, if they are: it could not be written. Empty for a journal nobody asked for.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  void line(const std::string& text);

  std::string path_;
  std::string broken_;
  int file_ = -1;
  bool temporary_ = false;
};

}  // namespace dsv4
