/// The code that a kernel set was made from. Known faults belong to code, not to the name of a set.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// A source file of an op's module.
struct CodeFile {
  std::string path;                   ///< "csrc/deepseek_v4/hash_topk.cuh"
  std::vector<std::string> releases;  ///< the releases of the package in which this path has these bytes
};

/// The sources of one op.
struct OpCode {
  std::vector<std::string> main;  ///< paths of the main sources of the op's modules
  std::vector<CodeFile> files;    ///< the main sources, and all files that they include
};

struct SetCode {
  std::string label;      ///< what texts call the set
  std::string package;    ///< "sglang"; known faults of other packages do not apply
  std::string version;    ///< "0.5.13": of the package, or the release from which most of its files are; may be empty
  bool released = false;  ///< the sources are those of this version, as the package's maintainers released them
  std::string device{};   ///< "cpu", "simt" or "cuda"
  std::map<std::string, OpCode> ops{};  ///< ops without an entry: the set does not say what they were made from
};

/// True if `version` is in [since, fixed). An empty `fixed` means without a limit. Versions are compared number by
/// number: 0.5.9 is before 0.5.13.
bool in_range(std::string_view version, std::string_view since, std::string_view fixed);

/// True if the text is a version: numbers with dots between them, and perhaps a suffix such as ".post1".
bool is_version(std::string_view text);

}  // namespace dsv4
