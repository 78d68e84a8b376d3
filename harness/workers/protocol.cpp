#include "harness/workers/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace dsv4 {

std::optional<std::string> LineBuffer::next() {
  const std::size_t end = buffer_.find('\n', std::max(start_, scanned_));
  if (end == std::string::npos) {
    buffer_.erase(0, start_);
    start_ = 0;
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  std::string line = buffer_.substr(start_, end - start_);
  start_ = end + 1;
  scanned_ = start_;
  return line;
}

ReadState read_available(int descriptor, std::string& into) {
  std::array<char, 65536> chunk;
  for (int i = 0; i < 8; ++i) {
    const ssize_t n = ::read(descriptor, chunk.data(), chunk.size());
    if (n > 0) {
      into.append(chunk.data(), static_cast<std::size_t>(n));
      continue;
    }
    if (n == 0) return ReadState::kClosed;
    if (errno == EINTR) continue;
    // If the other side died before it read all data, the connection is reset. This also counts as closed.
    return errno == EAGAIN || errno == EWOULDBLOCK ? ReadState::kOpen : ReadState::kClosed;
  }
  return ReadState::kOpen;
}

bool write_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string dump_line(const nlohmann::json& message) {
  return message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace dsv4
