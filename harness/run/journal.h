/// The journal of a run. Each case is written to the journal before a worker gets the case. So even if the whole run
/// dies, the journal shows which cases were running.
///
///   sweep <what is swept>
///   start <case id> <tab> <reproduction command>
///   passed <case id>
#pragma once

#include <map>

#include <string>
#include <vector>

#include "harness/verdict/result.h"

namespace dsv4 {

class Journal {
 public:
  /// The default journal is a file in the temporary folder. The file is removed when the run ends normally. Throws
  /// Error if the file cannot be made.
  Journal();
  /// A journal at `path`. The file is kept; what an earlier run wrote is removed when the first sweep begins. Throws
  /// Error if the file cannot be written.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Path of the file.
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Writes that a sweep begins. `identity` is one line that says what is swept. If it is empty, writes nothing. Throws
  /// Error if the lines of an earlier run cannot be removed.
  void begin(const std::string& identity);
  /// Writes that a case is about to run. `reproduce` is the command that runs it again.
  void start(const std::string& id, const std::string& reproduce);
  void end(const CaseResult& result);

  /// The write error after which no more lines were written; "" if there was none.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  void line(const std::string& text);
  [[nodiscard]] std::string failed(int error) const;

  std::string path_;
  std::string broken_;
  int file_ = -1;
  bool temporary_ = false;
  bool keeps_earlier_ = false;  ///< the file may hold lines of an earlier run
};

/// One sweep of a journal: what was swept, and the verdicts so far.
struct JournalSweep {
  std::string identity;
  std::map<std::string, Verdict> verdicts;
};

/// Reads a journal. The last line may be incomplete, because the run may have been killed. Throws Error if the file is
/// not a journal.
std::vector<JournalSweep> read_journal(const std::string& path);

}  // namespace dsv4
