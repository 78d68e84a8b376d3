#include "harness/golden/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path, const std::string& what, int code) {
  throw Error(fmt::format("{}: {}: {}", path, what, std::strerror(code)));
}

/// Owns a file descriptor and closes it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// A file that is written under its temporary name. It is locked, so that no second process writes it. It is removed
/// unless it is renamed to its final name.
class Prepared {
 public:
  explicit Prepared(const std::string& path) : path_(path), temporary_(temporary_name(path)), file_(open_locked()) {}
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  ~Prepared() {
    if (!renamed_) ::unlink(temporary_.c_str());
  }

  void write(const void* data, std::size_t size) const {
    if (::ftruncate(file_.get(), 0) != 0) refuse(temporary_, "cannot be emptied", errno);
    const auto* at = static_cast<const char*>(data);
    while (size != 0) {
      const ssize_t n = ::write(file_.get(), at, size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) refuse(temporary_, fmt::format("cannot be written, so {} is unchanged", path_), errno);
      at += n;
      size -= static_cast<std::size_t>(n);
    }
    if (::fsync(file_.get()) != 0) {
      refuse(temporary_, fmt::format("cannot be written, so {} is unchanged", path_), errno);
    }
  }

  void rename() {
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) refuse(path_, "cannot be replaced", errno);
    renamed_ = true;
  }

 private:
  Descriptor open_locked() {
    for (;;) {
      Descriptor file(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
      if (file.get() < 0) {
        renamed_ = true;  // there is no file to remove
        refuse(path_, "its temporary file cannot be made", errno);
      }
      if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        refuse(path_, "another process is writing it", errno);
      }
      // Between our open and our lock, another writer may have renamed this file to its final name. Then it is not a
      // temporary file any more, and we open a new file.
      struct stat locked {};
      struct stat named {};
      if (::fstat(file.get(), &locked) == 0 && ::stat(temporary_.c_str(), &named) == 0 &&
          locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
        return file;
      }
    }
  }

  std::string path_;
  std::string temporary_;
  bool renamed_ = false;
  Descriptor file_;
};

/// Syncs a folder. A rename is on disk only after its folder was synced.
void sync_folder(const fs::path& folder) {
  const Descriptor d(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (d.get() >= 0) ::fsync(d.get());
}

}  // namespace

Bytes read_whole_file(const std::string& path, std::size_t most_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) refuse(path, "cannot be opened", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) refuse(path, "cannot be read", errno);
  if (!S_ISREG(info.st_mode)) throw Error(fmt::format("{}: is not a regular file", path));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > most_bytes)
    throw Error(fmt::format("{}: has {} bytes, but at most {} bytes are allowed", path, size, most_bytes));
  Bytes bytes(size);
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path, "cannot be read", errno);
    if (n == 0) throw Error(fmt::format("{}: became shorter while it was read", path));
    got += static_cast<std::size_t>(n);
  }
  return bytes;
}

std::string temporary_name(const std::string& path) {
  const fs::path p(path);
  return (p.parent_path() / ("." + p.filename().string() + ".new")).string();
}

void replace_pair(const std::string& first, std::span<const std::uint8_t> first_bytes, const std::string& second,
                  std::string_view second_text) {
  const fs::path folder = fs::path(first).parent_path();
  if (!folder.empty()) {
    std::error_code code;
    fs::create_directories(folder, code);
    if (code) throw Error(fmt::format("{}: the folder cannot be made: {}", folder.string(), code.message()));
  }
  Prepared one(first);
  Prepared two(second);
  one.write(first_bytes.data(), first_bytes.size());
  two.write(second_text.data(), second_text.size());
  one.rename();
  two.rename();
  sync_folder(folder.empty() ? fs::path(".") : folder);
}

}  // namespace dsv4
