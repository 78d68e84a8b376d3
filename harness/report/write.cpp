#include "harness/report/write.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot(const std::string& path, int error) {
  throw Error(fmt::format("{}: cannot be written: {}", shortened(path), describe_errno(error)));
}

/// Writes all of `text` and closes the file. Returns 0, or errno of the step that failed.
int fill(int file, const std::string& text, bool sync) {
  std::size_t at = 0;
  int error = 0;
  while (at < text.size() && error == 0) {
    const ssize_t n = ::write(file, text.data() + at, text.size() - at);
    if (n >= 0) {
      at += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (sync && error == 0 && ::fsync(file) != 0) error = errno;
  if (::close(file) != 0 && error == 0) error = errno;
  return error;
}

/// True if the path names a descriptor that this process has already opened.
bool is_open_already(const std::string& path) {
  return path == "/dev/stdout" || path == "/dev/stderr" || path.starts_with("/dev/fd/") ||
         path.starts_with("/proc/self/fd/");
}

bool is_special(const std::string& path) {
  struct stat info {};
  return is_open_already(path) ||
         (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
}

}  // namespace

void write_report(const std::string& path, const std::string& text) {
  if (is_special(path)) {
    const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0) cannot(path, errno);
    if (const int error = fill(file, text, false)) cannot(path, error);
    return;
  }
  std::error_code status;
  const std::string target = fs::is_symlink(path, status) ? fs::weakly_canonical(path).string() : path;
  std::string temporary = target + ".XXXXXX";
  const int file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) cannot(path, errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file, 0666 & ~mask);
  int error = fill(file, text, true);
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    cannot(path, error);
  }
}

void replace_old_report(const std::string& path, const std::string& text) {
  if (!is_special(path)) write_report(path, text);
}

void check_report_path(const std::string& option, const std::string& path) {
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format("{} {}: {}", option, shortened(path), why));
  };
  if (path.empty()) refuse("a file name is missing");
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) refuse("is a folder");
    if (::access(path.c_str(), W_OK) != 0) refuse(describe_errno(errno));
    if (is_special(path)) return;
  } else if (errno != ENOENT && errno != ENOTDIR) {
    refuse(describe_errno(errno));  // for instance, the name is too long
  }
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (::access(folder.c_str(), F_OK) != 0) refuse(fmt::format("there is no folder {}", shortened(folder.string())));
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    refuse(fmt::format("folder {}: {}", shortened(folder.string()), describe_errno(errno)));
  }
}

bool same_file(const std::string& a, const std::string& b) {
  if (is_special(a) || is_special(b)) return false;
  std::error_code none;
  if (fs::equivalent(a, b, none)) return true;
  return fs::weakly_canonical(fs::absolute(a), none) == fs::weakly_canonical(fs::absolute(b), none);
}

}  // namespace dsv4
