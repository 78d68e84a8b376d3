/// The journal of a run. Each case is written to the journal before a worker gets the case. So even if the whole run
/// dies, the journal shows which cases were running.
///
///   start <case id> <tab> <reproduction command>
///   passed <case id>
#pragma once

#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

class Journal {
 public:
  /// The default journal is a file in the temporary folder. The file is removed when the run ends normally. If the file
  /// cannot be made, there is no journal and no message.
  Journal();
  /// A journal at `path`. The file is kept. Throws Error if the file cannot be written.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Path of the file; "" if there is none.
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Writes that a case is about to run. `reproduce` is the command that runs it again.
  void start(const std::string& id, const std::string& reproduce);
  void end(const CaseResult& result);

  /// The write error after which no more lines were written; "" if there was none. Always "" for the default journal.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  void line(const std::string& text);

  std::string path_;
  std::string broken_;
  int file_ = -1;
  bool temporary_ = false;
};

}  // namespace dsv4
