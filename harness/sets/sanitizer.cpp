#include "harness/sets/sanitizer.h"

#include <elf.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {
namespace {

constexpr std::size_t kLargestTable = std::size_t{64} << 20;  // bytes; a damaged file may state any size

struct Sanitizer {
  std::string_view symbol;  ///< a function of the runtime that every instrumented module calls
  std::string_view name;
};
constexpr std::array<Sanitizer, 3> kSanitizers{
    {{"__asan_init", "AddressSanitizer"}, {"__tsan_init", "ThreadSanitizer"}, {"__msan_init", "MemorySanitizer"}}};

/// Reads `count` objects at `offset`. Returns no object if the file is too short.
template <class T>
std::vector<T> read_at(std::ifstream& file, std::uint64_t offset, std::uint64_t count) {
  if (count > kLargestTable / sizeof(T)) return {};
  std::vector<T> objects(count);
  file.clear();
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(objects.data()), static_cast<std::streamsize>(count * sizeof(T)));
  return file ? objects : std::vector<T>{};
}

/// Names of the functions and objects that the library at `path` uses and does not define.
std::vector<std::string> undefined_symbols(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto header = read_at<Elf64_Ehdr>(file, 0, 1);
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0 ||
      header[0].e_ident[EI_CLASS] != ELFCLASS64) {
    return {};
  }
  const auto sections = read_at<Elf64_Shdr>(file, header[0].e_shoff, header[0].e_shnum);
  std::vector<std::string> names;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size()) continue;
    const Elf64_Shdr& strings = sections[section.sh_link];
    auto text = read_at<char>(file, strings.sh_offset, strings.sh_size);
    text.push_back('\0');
    for (const Elf64_Sym& symbol : read_at<Elf64_Sym>(file, section.sh_offset, section.sh_size / sizeof(Elf64_Sym))) {
      if (symbol.st_shndx == SHN_UNDEF && symbol.st_name < text.size()) names.emplace_back(&text[symbol.st_name]);
    }
  }
  return names;
}

}  // namespace

std::string sanitizer_of_module(const std::string& path) {
  for (const std::string& symbol : undefined_symbols(path)) {
    for (const Sanitizer& sanitizer : kSanitizers) {
      if (symbol == sanitizer.symbol) return std::string(sanitizer.name);
    }
  }
  return "";
}

std::string sanitizer_of_program() {
#if defined(__SANITIZE_ADDRESS__)
  return "AddressSanitizer";
#elif defined(__SANITIZE_THREAD__)
  return "ThreadSanitizer";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return "AddressSanitizer";
#elif __has_feature(thread_sanitizer)
  return "ThreadSanitizer";
#elif __has_feature(memory_sanitizer)
  return "MemorySanitizer";
#endif
#endif
  return "";
}

std::string why_other_sanitizer(const Manifest& manifest, const std::string& own) {
  if (manifest.device == DeviceKind::kCuda) return "";  // a sanitizer of the host compiler does not see GPU code
  for (const auto& [file, module] : manifest.modules) {
    const auto path = std::filesystem::path(manifest.folder) / file;
    std::error_code code;
    if (!std::filesystem::is_regular_file(path, code)) continue;  // a call of the module reports this
    const std::string theirs = sanitizer_of_module(path.string());
    if (theirs == own) continue;
    if (own.empty()) {
      return fmt::format(
          "set '{}' is built with {} (module {}), and this dsv4diff is not. Use a dsv4diff that is, for instance "
          "build-asan/dsv4diff (scripts/setup --with-sanitizers builds it), or build the set without it",
          manifest.name, theirs, file);
    }
    return fmt::format(
        "set '{}' is built {} (module {}), but this dsv4diff with {}. Build the set with {} as well "
        "(scripts/setup --with-sanitizers; scripts/build_sglang_set.py --asan-ubsan), or use a dsv4diff without it",
        manifest.name, theirs.empty() ? "without a sanitizer" : "with " + theirs, file, own, own);
  }
  return "";
}

}  // namespace dsv4
