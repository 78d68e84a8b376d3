#include "simt/fault.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

namespace simt {
namespace {

Fault fault;

/// Returns the name of a function from the symbol table of its file. Kernels are hidden or file-local symbols, and
/// dladdr does not find such symbols.
std::string symbol_at(const char* file, std::uintptr_t offset) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> image{std::istreambuf_iterator<char>(in), {}};
  const auto at = [&image]<typename T>(std::size_t position, T*) -> const T* {
    return position <= image.size() && image.size() - position >= sizeof(T)
               ? reinterpret_cast<const T*>(image.data() + position)
               : nullptr;
  };
  const auto* header = at(0, static_cast<ElfW(Ehdr)*>(nullptr));
  if (header == nullptr) return {};
  const auto section = [&](std::size_t index) {
    return at(header->e_shoff + index * sizeof(ElfW(Shdr)), static_cast<ElfW(Shdr)*>(nullptr));
  };
  for (std::size_t i = 0; i < header->e_shnum; ++i) {
    const auto* table = section(i);
    if (table == nullptr || table->sh_type != SHT_SYMTAB) continue;
    const auto* names = section(table->sh_link);
    for (std::size_t k = 0; names != nullptr && k < table->sh_size / sizeof(ElfW(Sym)); ++k) {
      const auto* symbol = at(table->sh_offset + k * sizeof(ElfW(Sym)), static_cast<ElfW(Sym)*>(nullptr));
      if (symbol == nullptr || (symbol->st_info & 0xF) != STT_FUNC || symbol->st_value != offset) continue;
      const std::size_t name = names->sh_offset + symbol->st_name;
      if (name < image.size()) return image.data() + name;
    }
  }
  return {};
}

}  // namespace

const Fault& last_fault() { return fault; }
void set_fault(int code, std::string text) { fault = {code, std::move(text)}; }
void clear_fault() { fault = {}; }

std::string kernel_name(const void* kernel) {
  Dl_info info{};
  link_map* map = nullptr;
  std::string name;
  if (dladdr1(kernel, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) != 0 && map != nullptr) {
    const char* file = map->l_name[0] != '\0' ? map->l_name : "/proc/self/exe";
    name = symbol_at(file, reinterpret_cast<std::uintptr_t>(kernel) - map->l_addr);
  }
  if (name.empty()) {
    char address[32];
    std::snprintf(address, sizeof address, "kernel at %p", kernel);
    return address;
  }
  int status = 0;
  char* readable = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string text = "kernel " + (status == 0 ? std::string(readable) : name);
  std::free(readable);
  for (std::size_t at; (at = text.find("(anonymous namespace)::")) != std::string::npos;) text.erase(at, 23);
  return text;
}

std::string to_string(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

std::string to_hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

}  // namespace simt
