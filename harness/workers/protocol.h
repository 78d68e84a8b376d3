/// How the parent and its worker processes talk: one line of text per message over a socket, nothing else.
///
///   worker -> parent   {"hello": 1}                                 ready for cases
///                      {"fatal": "..."}                             cannot work at all (a set cannot be opened)
///                      {"case": ID, "result": {...}}                the answer to a case
///                      {"case": ID, "result": {...}, "leaving": 1}  the same, and this process must be replaced
///                      {"bye": 1}                                   sets closed after the last case, memory still
///                      sound
///   parent -> worker   ID                                           the next case; may come one ahead
///                      end of file                                  no more cases
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

/// The descriptor at which a worker finds its end of the socket when it starts.
constexpr int kWorkerSocket = 3;
/// No message is longer; a stream without a line end for that long is garbage.
constexpr std::size_t kLongestMessage = std::size_t{64} << 20;

/// Splits a byte stream into lines.
class LineBuffer {
 public:
  void append(std::string_view bytes) { buffer_.append(bytes); }
  /// The next whole line without its line end; nullopt if there is none yet.
  std::optional<std::string> next();
  [[nodiscard]] bool overlong() const { return buffer_.size() - start_ > kLongestMessage; }

 private:
  std::string buffer_;
  std::size_t start_ = 0;    // everything before it has been handed out
  std::size_t scanned_ = 0;  // no line end lies between start_ and here
};

/// What a read brought.
enum class ReadState {
  kOpen,    ///< maybe something, and more may come
  kClosed,  ///< the other side has closed
};

/// Reads what is there now from a non-blocking descriptor, at most a few hundred kilobytes a call.
ReadState read_available(int descriptor, std::string& into);

/// Writes all of it; false if the other side is gone or takes no more. Never raises SIGPIPE.
bool write_all(int socket, std::string_view text);

/// One line of JSON. Bytes that are no UTF-8 (a kernel's message may hold anything) become replacement characters.
std::string dump_line(const nlohmann::json& message);

}  // namespace dsv4
