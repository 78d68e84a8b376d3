#include "harness/run/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "harness/core/error.h"

namespace dsv4 {

Journal::Journal() : temporary_(true) {
  const char* folder = std::getenv("TMPDIR");
  path_ = fmt::format("{}/dsv4diff-{}.journal", folder && *folder ? folder : "/tmp", ::getpid());
  // If a file of this name exists, a dead process of ours left it, or another user made it for an attack. Remove the
  // file, and never write into it.
  ::unlink(path_.c_str());
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file_ < 0) path_.clear();
}

Journal::Journal(const std::string& path) : path_(path) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) throw Error(fmt::format("--journal {}: cannot be written: {}", path, std::strerror(errno)));
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
  if (temporary_ && !path_.empty()) ::unlink(path_.c_str());
}

void Journal::start(const std::string& id, const std::string& reproduce) {
  line(fmt::format("start {}\t{}\n", id, reproduce));
}

void Journal::end(const CaseResult& result) { line(fmt::format("{} {}\n", name_of(result.verdict), result.id)); }

void Journal::line(const std::string& text) {
  if (file_ < 0) return;
  // Each line is one write, so that lines are complete whenever the process dies. A full disk ends only the journal.
  // The run goes on.
  errno = ENOSPC;  // a write that stops in the middle does not set errno
  if (::write(file_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  if (!temporary_) broken_ = fmt::format("--journal {}: cannot be written: {}", path_, std::strerror(errno));
  ::close(file_);
  file_ = -1;
}

}  // namespace dsv4
