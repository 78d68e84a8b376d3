#include "harness/golden/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "harness/core/error.h"
#include "harness/golden/files.h"
#include "harness/golden/index.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFileBytes = std::size_t{1} << 28;
constexpr std::array<std::uint8_t, 8> kHdf5Signature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
constexpr std::string_view kGoldenSuffix = ".h5";
constexpr std::string_view kIndexSuffix = ".txt";

std::string_view text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

void require_name(const std::string& name, std::string_view what) {
  const bool good = !name.empty() && name.front() != '.' && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == '+';
  });
  if (!good) throw Error(fmt::format("golden: '{}' is not a valid name of {}", name, what));
}

/// True if the index at `path` belongs to an HDF5 file with this size and digest. If a recording stopped between its
/// two renames, the new index still has its temporary name. So the file with that name is tried too.
bool index_belongs(const std::string& path, std::size_t bytes, const Digest& digest) {
  const auto belongs = [&](const IndexHeader& h) { return h.bytes == bytes && h.digest == digest; };
  const Bytes index = read_whole_file(path, kMostFileBytes);
  if (belongs(parse_index(text_of(index), path))) return true;
  const std::string prepared = temporary_name(path);
  if (!fs::exists(prepared)) return false;
  return belongs(parse_index(text_of(read_whole_file(prepared, kMostFileBytes)), prepared));
}

/// Returns for each op the sets that have a golden under `root`. One of the two files of a golden is enough. The
/// missing file is then reported when the golden is read.
std::map<std::string, std::set<std::string>> recorded(const std::string& root) {
  std::map<std::string, std::set<std::string>> sets;
  std::error_code code;
  for (const auto& folder : fs::directory_iterator(root, code)) {
    if (!folder.is_directory()) continue;
    for (const auto& file : fs::directory_iterator(folder.path(), code)) {
      const fs::path name = file.path().filename();
      const bool ours = name.extension() == kGoldenSuffix || name.extension() == kIndexSuffix;
      if (ours && name.string().front() != '.') sets[folder.path().filename().string()].insert(name.stem().string());
    }
  }
  return sets;
}

Golden read_checked(const std::string& path, const std::string& expected_op) {
  if (!fs::exists(path)) throw Error(fmt::format("{}: there is no such golden", path));
  const Bytes image = read_whole_file(path, kMostFileBytes);
  if (image.size() < kHdf5Signature.size() ||
      !std::equal(kHdf5Signature.begin(), kHdf5Signature.end(), image.begin())) {
    throw Error(fmt::format("{}: is not an HDF5 file ({} bytes)", path, image.size()));
  }
  const std::string beside = index_path(path);
  if (!fs::exists(beside)) throw Error(fmt::format("{}: its index {} is missing", path, beside));
  const Digest digest = digest_of(image);
  if (!index_belongs(beside, image.size(), digest)) {
    throw Error(
        fmt::format("{}: its {} bytes do not have the size and checksum in {}; one of the two files is damaged, "
                    "truncated, or from another recording",
                    path, image.size(), beside));
  }
  Golden golden = decode_golden(image, path);
  if (golden.op != expected_op) {
    throw Error(fmt::format("{}: holds goldens of op '{}', '{}' was expected", path, golden.op, expected_op));
  }
  if (const std::string named = fs::path(path).stem().string(); golden.set != named) {
    throw Error(fmt::format("{}: was recorded from set '{}', but is named after '{}'", path, golden.set, named));
  }
  return golden;
}

/// Compares a normalized golden with the golden at `path`. If `preview` is not null, stores more about the difference
/// in it.
GoldenWriting compare_with_old(const std::string& path, const Golden& golden, GoldenPreview* preview) {
  GoldenWriting writing;
  if (!fs::exists(path)) return writing;
  writing.change = GoldenChange::kChanged;
  try {
    const bool complete = !fs::exists(temporary_name(index_path(path)));
    const Golden old = read_checked(path, golden.op);
    writing.difference = difference(old, golden);
    if (complete && writing.difference == GoldenDifference{}) writing.change = GoldenChange::kUnchanged;
    if (preview != nullptr) {
      preview->moved = movements(old, golden);
      preview->failing = newly_failing(old, golden);
    }
  } catch (const Error& e) {
    writing.damage = e.what();  // the damaged file is replaced
  }
  return writing;
}

}  // namespace

std::string golden_path(const std::string& root, const std::string& op, const std::string& set) {
  require_name(op, "an op");
  require_name(set, "a set");
  return (fs::path(root) / op / (set + std::string(kGoldenSuffix))).string();
}

std::string index_path(const std::string& golden_path) {
  return fs::path(golden_path).replace_extension(kIndexSuffix).string();
}

std::vector<std::string> recorded_ops(const std::string& root, const std::string& set) {
  std::vector<std::string> ops;
  for (const auto& [op, sets] : recorded(root)) {
    if (sets.contains(set)) ops.push_back(op);
  }
  return ops;
}

std::vector<std::string> recorded_sets(const std::string& root) {
  std::set<std::string> all;
  for (const auto& [op, sets] : recorded(root)) all.insert(sets.begin(), sets.end());
  return {all.begin(), all.end()};
}

GoldenPreview preview_golden(const std::string& path, Golden golden) {
  normalize(golden);
  GoldenPreview preview;
  preview.writing = compare_with_old(path, golden, &preview);
  return preview;
}

GoldenWriting write_golden(const std::string& path, Golden golden) {
  normalize(golden);
  GoldenWriting writing = compare_with_old(path, golden, nullptr);
  if (writing.change == GoldenChange::kUnchanged) return writing;
  const Bytes image = encode_golden(golden);
  replace_pair(path, image, index_path(path), format_index(golden, image));
  return writing;
}

Golden read_golden(const std::string& path, const std::string& expected_op) {
  try {
    return read_checked(path, expected_op);
  } catch (const Error& e) {
    const std::string set = fs::path(path).stem().string();
    throw Error(fmt::format("{}; restore it from git, or {}", e.what(), record_again(expected_op, set)));
  }
}

}  // namespace dsv4
