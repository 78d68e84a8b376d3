#include "harness/run/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {

Journal::Journal() : temporary_(true) {
  const char* folder = std::getenv("TMPDIR");
  path_ = fmt::format("{}/dsv4diff-{}.journal", folder && *folder ? folder : "/tmp", ::getpid());
  // If a file of this name exists, a dead process of ours left it, or another user made it for an attack. Remove the
  // file, and never write into it.
  ::unlink(path_.c_str());
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file_ < 0)
    throw Error(fmt::format("{}; name another file with --journal, or another folder with TMPDIR", failed(errno)));
}

Journal::Journal(const std::string& path) : path_(path), keeps_earlier_(true) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) throw Error(failed(errno));
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
  if (temporary_ && file_ >= 0) ::unlink(path_.c_str());
}

void Journal::begin(const std::string& identity) {
  // Until the first sweep begins, the run may still be refused. Then the file of an earlier run must be there.
  if (keeps_earlier_ && ::ftruncate(file_, 0) != 0 && errno != EINVAL) throw Error(failed(errno));
  keeps_earlier_ = false;
  if (!identity.empty()) line(fmt::format("sweep {}\n", identity));
}

void Journal::start(const std::string& id, const std::string& reproduce) {
  line(fmt::format("start {}\t{}\n", id, reproduce));
}

void Journal::end(const CaseResult& result) { line(fmt::format("{} {}\n", name_of(result.verdict), result.id)); }

void Journal::line(const std::string& text) {
  if (file_ < 0) return;
  // Each line is one write, so that lines are complete whenever the process dies. A full disk ends only the journal.
  // The run goes on. A write that stops in the middle does not say why, so the rest is tried as well.
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = ::write(file_, rest.data(), rest.size());
    if (n < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (rest.empty()) return;
  broken_ = failed(errno);
  ::close(file_);
  file_ = -1;
  if (temporary_) ::unlink(path_.c_str());
}

std::vector<JournalSweep> read_journal(const std::string& path) {
  const auto refuse = [&](const std::string& why) -> Error {
    return Error(
        fmt::format("{}: {}; name a journal that 'dsv4diff run' or 'dsv4diff verify' wrote", shortened(path), why));
  };
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) throw refuse("there is no such file");
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw refuse("cannot be read");
  std::vector<JournalSweep> sweeps;
  std::size_t number = 0;
  for (std::size_t at = 0, end = text.find('\n'); end != std::string::npos; at = end + 1, end = text.find('\n', at)) {
    const std::string line = text.substr(at, end - at);
    ++number;
    const auto space = line.find(' ');
    const std::string word = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    const auto verdict = verdict_from_name(word);
    if (word == "sweep") {
      sweeps.push_back({rest, {}});
    } else if (sweeps.empty() || rest.empty() || (word != "start" && !verdict)) {
      throw refuse(fmt::format("line {} is not a line of a journal", number));
    } else if (verdict) {
      sweeps.back().verdicts[rest] = *verdict;
    }
  }
  if (sweeps.empty()) throw refuse("it holds no sweep");
  return sweeps;
}

std::string Journal::failed(int error) const {
  return fmt::format("{} {}: cannot be written: {}", temporary_ ? "the journal" : "--journal", shortened(path_),
                     describe_errno(error));
}

}  // namespace dsv4
