/// The protocol between the parent and its worker processes. Each message is one line of text over a socket.
///
///   worker -> parent   {"hello": 1}                                 ready for cases
///                      {"fatal": "..."}                             cannot run any case (a set cannot be opened)
///                      {"case": ID, "result": {...}}                the answer to a case
///                      {"case": ID, "result": {...}, "leaving": 1}  an answer; then this process must be replaced
///                      {"bye": 1}                                   sets are closed, and the heap is undamaged
///   parent -> worker   ID                                           the next case; one may be sent before the answer
///                      end of file                                  no more cases
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

/// Number that the descriptor of the worker's end of the socket has when the worker starts.
constexpr int kWorkerSocket = 3;
/// Largest length of a message in bytes. A longer line is a protocol error.
constexpr std::size_t kLongestMessage = std::size_t{64} << 20;

/// Splits a byte stream into lines.
class LineBuffer {
 public:
  void append(std::string_view bytes) { buffer_.append(bytes); }
  /// Returns the next complete line without its line end; nullopt if there is none yet.
  std::optional<std::string> next();
  [[nodiscard]] bool overlong() const { return buffer_.size() - start_ > kLongestMessage; }

 private:
  std::string buffer_;
  std::size_t start_ = 0;    // everything before this position was returned by next()
  std::size_t scanned_ = 0;  // there is no line end between start_ and this position
};

/// State of a descriptor after a read.
enum class ReadState {
  kOpen,    ///< more data may follow
  kClosed,  ///< the other side has closed it
};

/// Reads what is available now from a non-blocking descriptor, and appends it to `into`. Reads at most 512 KiB in
/// one call.
ReadState read_available(int descriptor, std::string& into);

/// Writes all of `text`. Returns false if the other side is closed or its buffer is full. Never raises SIGPIPE.
bool write_all(int socket, std::string_view text);

/// Returns the message as one line of JSON. Bytes that are not UTF-8 become replacement characters, because a kernel's
/// message may contain any bytes.
std::string dump_line(const nlohmann::json& message);

}  // namespace dsv4
