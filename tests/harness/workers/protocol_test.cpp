#include "harness/workers/protocol.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace dsv4 {
namespace {

std::vector<std::string> lines_in(LineBuffer& buffer) {
  std::vector<std::string> lines;
  while (const auto line = buffer.next()) lines.push_back(*line);
  return lines;
}

TEST(LineBuffer, LinesAreWholeHoweverTheBytesArrive) {
  const std::string stream = "first\n\nthird line\nno end";
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    LineBuffer buffer;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      buffer.append(stream.substr(at, step));
      for (std::string& line : lines_in(buffer)) lines.push_back(std::move(line));
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"first", "", "third line"})) << step;
    buffer.append("\n");
    EXPECT_EQ(lines_in(buffer), std::vector<std::string>{"no end"}) << step;
  }
}

TEST(LineBuffer, AnEmptyBufferHasNoLine) {
  LineBuffer buffer;
  EXPECT_FALSE(buffer.next());
  buffer.append("");
  EXPECT_FALSE(buffer.next());
  EXPECT_FALSE(buffer.overlong());
}

TEST(LineBuffer, AStreamWithoutALineEndIsOverlongAndLinesAreNot) {
  LineBuffer endless;
  endless.append(std::string(kLongestMessage, 'x'));
  EXPECT_FALSE(endless.next());
  EXPECT_FALSE(endless.overlong());
  endless.append("x");
  EXPECT_TRUE(endless.overlong());
  // The limit applies to unread bytes. Lines that were taken out do not count, even if together they are longer.
  LineBuffer lines;
  for (int i = 0; i < 3; ++i) {
    lines.append(std::string(kLongestMessage / 2, 'x') + "\n");
    EXPECT_EQ(lines.next()->size(), kLongestMessage / 2);
  }
  EXPECT_FALSE(lines.overlong());
}

/// Two connected sockets. The first one is non-blocking, like the socket of the parent process.
struct Sockets {
  int ends[2] = {-1, -1};
  Sockets() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }
  ~Sockets() {
    ::close(ends[0]);
    hang_up();
  }
  void hang_up() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
};

TEST(Sockets, BytesSentBeforeTheCloseAreRead) {
  Sockets s;
  std::string heard;
  EXPECT_EQ(read_available(s.ends[0], heard), ReadState::kOpen);
  EXPECT_EQ(heard, "");
  EXPECT_TRUE(write_all(s.ends[1], "last words\n"));
  s.hang_up();
  EXPECT_EQ(read_available(s.ends[0], heard), ReadState::kClosed);
  EXPECT_EQ(heard, "last words\n");
}

TEST(Sockets, WritingToAClosedSocketRaisesNoSignal) {
  Sockets s;
  s.hang_up();
  EXPECT_FALSE(write_all(s.ends[0], "is anybody there?\n"));
}

TEST(Sockets, APeerThatReadsNothingDoesNotBlockTheWriter) {
  Sockets s;
  EXPECT_FALSE(write_all(s.ends[0], std::string(std::size_t{64} << 20, 'x')));
}

TEST(DumpLine, AnyBytesAreOneLineOfJson) {
  const std::string text = "a\nb\r\x01\xff\xfe\xed\xa0\x80 \xc3\xa4";
  const std::string line = dump_line({{"reason", text}});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto back = nlohmann::json::parse(line);
  const auto reason = back.at("reason").get<std::string>();
  EXPECT_TRUE(reason.starts_with("a\nb\r\x01"));
  EXPECT_TRUE(reason.ends_with("\xc3\xa4"));
}

}  // namespace
}  // namespace dsv4
