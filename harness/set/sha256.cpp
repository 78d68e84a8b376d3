/// SHA-256 (FIPS 180-4) of a file. Own code, because it is the one digest that other tools print (sha256sum), and no
/// other use of a cryptographic library is in sight.

#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <system_error>

#include "harness/core/error.h"
#include "harness/set/set.h"

namespace dsv4 {
namespace {

constexpr std::size_t kBlock = 64;

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2).
constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

class Sha256 {
 public:
  void block(const unsigned char* bytes) {
    std::array<std::uint32_t, 64> w;
    for (int t = 0; t < 16; ++t) {
      w[t] = static_cast<std::uint32_t>(bytes[4 * t]) << 24 | static_cast<std::uint32_t>(bytes[4 * t + 1]) << 16 |
             static_cast<std::uint32_t>(bytes[4 * t + 2]) << 8 | bytes[4 * t + 3];
    }
    for (int t = 16; t < 64; ++t) {
      const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
      const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (int t = 0; t < 64; ++t) {
      const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t choose = (e & f) ^ (~e & g);
      const std::uint32_t first = h + sum1 + choose + kRound[t] + w[t];
      const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + sum0 + majority;
    }
    const std::array<std::uint32_t, 8> add = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < add.size(); ++i) state_[i] += add[i];
  }

  [[nodiscard]] std::string hex() const {
    std::string text;
    for (const std::uint32_t word : state_) {
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    }
    return text;
  }

 private:
  /// First 32 bits of the fractional parts of the square roots of the first 8 primes (FIPS 180-4, 5.3.3).
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

}  // namespace

std::string sha256_of_file(const std::string& path) {
  const auto refuse = [&] {
    throw Error("cannot read " + path + ": " + std::generic_category().message(errno ? errno : EIO));
  };
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse();
  Sha256 sha;
  std::array<unsigned char, 1024 * kBlock> chunk;
  std::uint64_t length = 0;
  std::size_t rest = 0;  // bytes of the last, unfinished block; they stay at the front of the chunk
  while (true) {
    file.read(reinterpret_cast<char*>(chunk.data()), chunk.size());
    const auto got = static_cast<std::size_t>(file.gcount());
    if (file.bad()) refuse();
    length += got;
    std::size_t at = 0;
    for (; at + kBlock <= got; at += kBlock) sha.block(chunk.data() + at);
    if (got < chunk.size()) {
      rest = got - at;
      std::memmove(chunk.data(), chunk.data() + at, rest);
      break;
    }
  }
  // Padding: a one bit, zeros, and the length in bits as the last eight bytes of a block.
  const std::size_t padded = rest + 9 <= kBlock ? kBlock : 2 * kBlock;
  std::memset(chunk.data() + rest, 0, padded - rest);
  chunk[rest] = 0x80;
  for (int i = 0; i < 8; ++i) chunk[padded - 1 - i] = static_cast<unsigned char>(length * 8 >> (8 * i));
  for (std::size_t at = 0; at < padded; at += kBlock) sha.block(chunk.data() + at);
  return sha.hex();
}

}  // namespace dsv4
