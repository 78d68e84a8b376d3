/// Computes the digest of a file. A manifest has the digests of its modules, so that a changed file is detected. The
/// digest is SHA-256. Goldens and inputs use XXH3, which is faster. But Python writes the manifests of upstream's sets,
/// and Python's hashlib has SHA-256 and no XXH3.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace dsv4 {

/// Returns the SHA-256 of a file as lower-case hex digits, or nullopt if the file cannot be read. Only a regular file
/// is read, because a pipe would block.
inline std::optional<std::string> sha256_of(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!file || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return std::nullopt;
  std::array<char, 65536> part{};
  while (file.read(part.data(), part.size()) || file.gcount() > 0) {
    EVP_DigestUpdate(context.get(), part.data(), static_cast<std::size_t>(file.gcount()));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (file.bad() || EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) return std::nullopt;
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[digest[i] / 16];
    hex += "0123456789abcdef"[digest[i] % 16];
  }
  return hex;
}

}  // namespace dsv4
