/// Reads and writes the part of HDF5 that goldens use: data sets of numbers, data sets of fixed-length strings, and
/// attributes. All of them belong directly to the root group. They are written to and read from an image, which holds
/// the bytes of a file in memory. So HDF5 never accesses the disk. The checksum of an image is verified before the
/// image is read. A new image is written to disk in one piece (files.h).
///
/// Images are deterministic to the byte: they have no time stamps, they use one fixed format version, and their data
/// sets are in the order of the calls.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/golden/digest.h"

namespace dsv4 {

/// Owns an HDF5 handle and closes it.
class Hdf5Handle {
 public:
  using Close = int (*)(std::int64_t);
  Hdf5Handle() = default;
  Hdf5Handle(std::int64_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept;
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;
  ~Hdf5Handle();
  [[nodiscard]] std::int64_t get() const { return id_; }

 private:
  std::int64_t id_ = -1;
  Close close_ = nullptr;
};

/// How a data set is stored: unchanged, or shuffled and deflated. Deflating helps if values repeat. Digests and most
/// floats do not repeat.
enum class Hdf5Packing { kPlain, kDeflate };

class Hdf5Writer {
 public:
  Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void attribute(const std::string& name, std::int64_t value);
  void attribute(const std::string& name, std::string_view value);
  /// Writes a data set whose rows have `columns` numbers. If `columns` is 0, the data set has one dimension. T is
  /// uint8_t, int64_t, uint64_t or double.
  template <class T>
  void numbers(const std::string& name, std::span<const T> values, Hdf5Packing packing, std::size_t columns = 0);
  /// Writes a data set with one string in each row. All strings get the same length, filled up with zero bytes. Throws
  /// Error if a string contains a zero byte.
  void strings(const std::string& name, const std::vector<std::string>& values);
  /// Returns the bytes of the finished file. The writer cannot be used afterwards.
  Bytes finish();

 private:
  void write(const std::string& name, std::int64_t type, std::int64_t memory_type, const void* data,
             const std::vector<std::uint64_t>& extent, Hdf5Packing packing);
  Bytes image_;  ///< bytes of the open file; declared before file_, because file_ is destroyed first
  Hdf5Handle file_;
};

class Hdf5Reader {
 public:
  /// Opens an image. All functions of this class throw Error if the data do not have exactly the requested form. The
  /// message begins with `where`, the path of the file.
  Hdf5Reader(std::span<const std::uint8_t> image, std::string where);

  [[nodiscard]] std::int64_t integer(const std::string& attribute) const;
  [[nodiscard]] std::string text(const std::string& attribute) const;
  template <class T>
  [[nodiscard]] std::vector<T> numbers(const std::string& name, std::size_t columns = 0) const;
  [[nodiscard]] std::vector<std::string> strings(const std::string& name) const;

 private:
  [[noreturn]] void refuse(const std::string& what) const;
  [[nodiscard]] Hdf5Handle open(const std::string& name) const;
  /// Returns the extent of a data set. Throws Error if its rank is not `rank`, or if it needs more memory than a
  /// golden may.
  [[nodiscard]] std::vector<std::uint64_t> extent_of(const Hdf5Handle& set, const std::string& name, int rank,
                                                     std::size_t element_bytes) const;
  std::string where_;
  Hdf5Handle file_;
};

}  // namespace dsv4
