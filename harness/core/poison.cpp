#include "harness/core/poison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace dsv4 {
namespace {

// As little-endian words: 0xfbadbeef, 0xffa5a5a5 (a NaN), 0x7b5ac3d2, 0xc33c6996. None is a plausible index, scale or
// code pattern.
constexpr std::array<std::array<std::uint8_t, 4>, 4> kPatterns{
    {{0xef, 0xbe, 0xad, 0xfb}, {0xa5, 0xa5, 0xa5, 0xff}, {0xd2, 0xc3, 0x5a, 0x7b}, {0x96, 0x69, 0x3c, 0xc3}}};
constexpr std::uint32_t kPoisonNan = 0x7fc00000;

}  // namespace

std::uint8_t poison_byte(std::uint32_t variant, std::size_t position) {
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

float poison_float(std::size_t position) {
  return std::bit_cast<float>(kPoisonNan | static_cast<std::uint32_t>(position & 0xffff) | 1u);
}

namespace {

/// True if the four bytes at `bytes` are poison that begins at some position.
bool is_poison_word(const std::uint8_t* bytes) {
  for (std::uint32_t variant = 0; variant < kPatterns.size(); ++variant) {
    for (std::size_t origin = 0; origin < 4; ++origin) {
      bool same = true;
      for (std::size_t i = 0; i < 4; ++i) same = same && bytes[i] == poison_byte(variant, origin + i);
      if (same) return true;
    }
  }
  return false;
}

}  // namespace

std::string describe_poison(const HostTensor& t, std::int64_t linear) {
  constexpr std::size_t kWord = 4;
  const auto size = static_cast<std::size_t>(size_of(t.dtype));
  const std::size_t at = t.byte_of(linear);
  if (t.storage.size() < std::max(kWord, at + size)) return "";
  const std::string bits = fmt::format("poison 0x{:0{}x}", bits_of(t.dtype, t.storage.data() + at), 2 * size);
  if (t.dtype == DType::kF32) {
    const auto word = static_cast<std::uint32_t>(bits_of(t.dtype, t.storage.data() + at));
    constexpr std::uint32_t kOrdinaryPayloads = 3;  // fills have NaN with these payloads
    const std::uint32_t payload = word & 0xffff;
    if ((word & ~0xffffu) == kPoisonNan && payload % 2 == 1 && payload > kOrdinaryPayloads)
      return fmt::format("from memory that was never written ({})", bits);
  }
  const std::size_t first = size >= kWord ? at : std::min(at / kWord * kWord, t.storage.size() - kWord);
  for (std::size_t word = first; word < at + size; word += kWord) {
    if (!is_poison_word(t.storage.data() + word)) return "";
  }
  return fmt::format("never written ({})", bits);
}

}  // namespace dsv4
