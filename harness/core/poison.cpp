#include "harness/core/poison.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace dsv4 {

std::uint8_t poison_byte(std::uint32_t variant, std::size_t position) {
  // As little-endian words: 0xfbadbeef, 0xffa5a5a5 (a NaN), 0x7b5ac3d2, 0xc33c6996. None is a plausible index, scale or
  // code pattern.
  static constexpr std::array<std::array<std::uint8_t, 4>, 4> kPatterns{
      {{0xef, 0xbe, 0xad, 0xfb}, {0xa5, 0xa5, 0xa5, 0xff}, {0xd2, 0xc3, 0x5a, 0x7b}, {0x96, 0x69, 0x3c, 0xc3}}};
  return kPatterns[variant % kPatterns.size()][position % 4];
}

void poison_bytes(std::uint8_t* bytes, std::size_t count, std::uint32_t variant, std::size_t origin) {
  const std::size_t head = std::min<std::size_t>(count, 4);
  for (std::size_t i = 0; i < head; ++i) bytes[i] = poison_byte(variant, origin + i);
  // The pattern repeats every four bytes. So each step copies the part that is filled already, which doubles it.
  for (std::size_t done = head; done < count;) {
    const std::size_t n = std::min(done, count - done);
    std::memcpy(bytes + done, bytes, n);
    done += n;
  }
}

void poison(HostTensor& tensor, std::uint32_t variant) {
  poison_bytes(tensor.storage.data(), tensor.storage.size(), variant);
}

}  // namespace dsv4
