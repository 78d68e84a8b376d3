/// The part of HDF5 that goldens use: flat data sets of numbers and fixed-length strings, and attributes of the root.
/// They are written to and read from a file image in memory, so HDF5 never accesses the disk. The checksum is verified
/// before an image is read, and a new image is written to disk in one piece (files.h).
///
/// Images are deterministic to the byte: no time stamps, one fixed format version, data sets in the order of the calls.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/golden/digest.h"

namespace dsv4 {

/// An HDF5 handle that closes itself.
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

/// How a data set is stored: as it is, or shuffled and deflated. Deflating helps where values repeat; digests and
/// floats do not.
enum class Hdf5Packing { kPlain, kDeflate };

class Hdf5Writer {
 public:
  Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void attribute(const std::string& name, std::int64_t value);
  void attribute(const std::string& name, std::string_view value);
  /// Writes a data set with rows of `columns` numbers; one-dimensional if `columns` is 0. T: uint8_t, int64_t, uint64_t
  /// or double.
  template <class T>
  void numbers(const std::string& name, std::span<const T> values, Hdf5Packing packing, std::size_t columns = 0);
  /// Writes a data set with one fixed-length, zero-padded string in each row. Throws Error for a string that holds a
  /// zero byte.
  void strings(const std::string& name, const std::vector<std::string>& values);
  /// Returns the finished file. The writer cannot be used afterwards.
  Bytes finish();

 private:
  void write(const std::string& name, std::int64_t type, std::int64_t memory_type, const void* data,
             const std::vector<std::uint64_t>& extent, Hdf5Packing packing);
  Bytes image_;  ///< the file's bytes while it is open; declared first, because the file is closed first
  Hdf5Handle file_;
};

class Hdf5Reader {
 public:
  /// Opens an image. All readers throw Error if the data do not have exactly the form that is asked for. Messages begin
  /// with `where`, the file's path.
  Hdf5Reader(std::span<const std::uint8_t> image, std::string where);

  [[nodiscard]] std::int64_t integer(const std::string& attribute) const;
  [[nodiscard]] std::string text(const std::string& attribute) const;
  template <class T>
  [[nodiscard]] std::vector<T> numbers(const std::string& name, std::size_t columns = 0) const;
  [[nodiscard]] std::vector<std::string> strings(const std::string& name) const;

 private:
  [[noreturn]] void refuse(const std::string& what) const;
  [[nodiscard]] Hdf5Handle open(const std::string& name) const;
  /// Extent of a data set, checked against the rank and a limit on its size in memory.
  [[nodiscard]] std::vector<std::uint64_t> extent_of(const Hdf5Handle& set, const std::string& name, int rank,
                                                     std::size_t element_bytes) const;
  std::string where_;
  Hdf5Handle file_;
};

}  // namespace dsv4
