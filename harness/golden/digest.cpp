#include "harness/golden/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

Digest canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest out;
  std::copy_n(bytes.digest, out.size(), out.begin());
  return out;
}

/// Computes one digest of many fields. The digest takes the length of each variable-length field before its bytes. So
/// different lists of fields give different inputs of the hash.
class FieldDigest {
 public:
  FieldDigest() : state_(XXH3_createState(), &XXH3_freeState) {
    if (state_ == nullptr || XXH3_128bits_reset(state_.get()) != XXH_OK) throw std::bad_alloc();
  }

  void bytes(const void* data, std::size_t size) {
    number(static_cast<std::int64_t>(size));
    if (size != 0) XXH3_128bits_update(state_.get(), data, size);
  }
  void text(std::string_view s) { bytes(s.data(), s.size()); }
  void number(std::int64_t n) { XXH3_128bits_update(state_.get(), &n, sizeof n); }
  void numbers(const Shape& list) { bytes(list.data(), list.size() * sizeof(std::int64_t)); }

  void tensor(const HostTensor& t, bool with_contents) {
    text(name_of(t.dtype));
    numbers(t.shape);
    numbers(t.strides);
    number(t.offset);
    number(static_cast<std::int64_t>(t.storage.size()));
    if (with_contents) bytes(t.storage.data(), t.storage.size());
  }

  [[nodiscard]] Digest digest() const { return canonical(XXH3_128bits_digest(state_.get())); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

std::string_view word_of(Role role) {
  switch (role) {
    case Role::kIn:
      return "in";
    case Role::kOut:
      return "out";
    case Role::kInOut:
      return "inout";
    case Role::kWorkspace:
      return "workspace";
  }
  return "?";
}

/// The finalizer of SplitMix64. It turns a small number into 64 pseudo-random bits.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  throw Error(fmt::format("'{}' is not a hex digit", c));
}

}  // namespace

Digest digest_of(std::span<const std::uint8_t> bytes) { return canonical(XXH3_128bits(bytes.data(), bytes.size())); }

Digest input_digest(const Call& call) {
  FieldDigest d;
  d.text(call.op);
  d.text(call.aux);
  d.text(call.compile.str());
  d.number(static_cast<std::int64_t>(call.args.size()));
  for (const Arg& a : call.args) {
    d.text(a.name);
    d.text(word_of(a.role));
    d.text(a.place == Place::kDevice ? "device" : "host");
    d.number(a.misalign);
    if (a.is_tensor()) {
      d.text("tensor");
      d.tensor(a.tensor(), a.role == Role::kIn || a.role == Role::kInOut);
    } else if (const auto* i = std::get_if<std::int64_t>(&a.value)) {
      d.text("int");
      d.number(*i);
    } else if (const auto* f = std::get_if<double>(&a.value)) {
      d.text("float");
      d.bytes(f, sizeof *f);
    } else if (const auto* b = std::get_if<bool>(&a.value)) {
      d.text("bool");
      d.number(*b ? 1 : 0);
    } else {
      d.text("none");
    }
  }
  return d.digest();
}

std::size_t block_size(std::size_t total) {
  std::size_t size = kSmallestBlock;
  while ((total + size - 1) / size > kMostBlocks) size *= 2;
  return size;
}

std::size_t block_count(std::size_t total) {
  if (total <= kFullBytes) return 0;
  const std::size_t size = block_size(total);
  return (total + size - 1) / size;
}

std::vector<std::uint64_t> block_digests(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint64_t> out(block_count(bytes.size()));
  const std::size_t size = block_size(bytes.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto block = bytes.subspan(i * size, std::min(size, bytes.size() - i * size));
    out[i] = XXH3_64bits(block.data(), block.size());
  }
  return out;
}

std::vector<std::int64_t> sample_positions(std::int64_t numel) {
  const std::int64_t count = std::clamp<std::int64_t>(numel, 0, kSampleElements);
  std::vector<std::int64_t> positions(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t low = k * numel / count;
    const std::int64_t width = (k + 1) * numel / count - low;
    const auto inside =
        static_cast<std::int64_t>(mixed(static_cast<std::uint64_t>(k)) % static_cast<std::uint64_t>(width));
    positions[static_cast<std::size_t>(k)] = low + inside;
  }
  if (count > 0) {
    positions.front() = 0;
    positions.back() = numel - 1;
  }
  return positions;
}

Statistics statistics_of(const HostTensor& packed) {
  Statistics s;
  s.min = s.max = s.sum = std::numeric_limits<double>::quiet_NaN();
  bool any = false;
  const auto bytes = static_cast<std::size_t>(size_of(packed.dtype));
  for (std::size_t at = 0; at + bytes <= packed.storage.size(); at += bytes) {
    const double value = value_of(packed.dtype, packed.storage.data() + at);
    if (std::isnan(value)) {
      ++s.nan;
    } else if (std::isinf(value)) {
      ++s.infinite;
    } else {
      if (value == 0) ++s.zero;
      s.min = any ? std::min(s.min, value) : value;
      s.max = any ? std::max(s.max, value) : value;
      s.sum = any ? s.sum + value : value;
      any = true;
    }
  }
  return s;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const std::uint8_t b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

Bytes bytes_from_hex(std::string_view text) {
  if (text.size() % 2 != 0)
    throw Error(fmt::format("a text of {} hex digits does not consist of whole bytes", text.size()));
  Bytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
  return out;
}

Digest digest_from_hex(std::string_view text) {
  Digest out;
  const Bytes bytes = bytes_from_hex(text);
  if (bytes.size() != out.size()) throw Error(fmt::format("a digest has 32 hex digits, not {}", text.size()));
  std::ranges::copy(bytes, out.begin());
  return out;
}

}  // namespace dsv4
