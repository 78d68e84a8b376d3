#include "harness/golden/hdf5.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

static_assert(std::is_same_v<hid_t, std::int64_t>, "handles are kept as 64-bit integers");

/// Largest allowed data set in bytes. A golden has a few hundred KiB, so a larger data set cannot belong to a golden.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;

/// HDF5 needs a name for a file in memory too. It refuses an image if a file of that name exists on disk. So no file of
/// this name must be possible.
constexpr const char* kMemoryName = "/dev/null/golden";

/// Returns HDF5's message about its last failure. It is the innermost entry of the error stack, which names the cause.
std::string last_message() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* e, void* out) -> herr_t {
        auto& message = *static_cast<std::string*>(out);
        if (message.empty() && e->desc != nullptr) message = fmt::format("{}: {}", e->func_name, e->desc);
        return 0;
      },
      &text);
  H5Eclear2(H5E_DEFAULT);
  return text.empty() ? "no reason given" : text;
}

/// Stops HDF5 from printing its error stack. Here every failure becomes an Error instead.
void quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

template <class R>
R checked(R result, std::string_view what) {
  if (result < 0) throw Error(fmt::format("HDF5 cannot {}: {}", what, last_message()));
  return result;
}

Hdf5Handle property_list(hid_t kind) { return {checked(H5Pcreate(kind), "make a property list"), &H5Pclose}; }

/// Returns file access settings with one fixed format version: that of HDF5 1.10, the newest that the tools of Debian
/// and Ubuntu read.
Hdf5Handle fixed_access() {
  Hdf5Handle list = property_list(H5P_FILE_ACCESS);
  checked(H5Pset_libver_bounds(list.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "fix the format version");
  // By default HDF5 reserves blocks for small objects that may be added later. Our files are written once, so the
  // reserved rest of a block would be wasted.
  checked(H5Pset_meta_block_size(list.get(), 0), "set the block size");
  checked(H5Pset_small_data_block_size(list.get(), 0), "set the block size");
  return list;
}

/// Resizes the buffer and returns its bytes. Returns nullptr if there is too little memory, because an exception must
/// not pass through HDF5's C functions.
void* resized(Bytes& buffer, std::size_t size) {
  try {
    buffer.resize(size);
    return buffer.data();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

/// Makes HDF5 keep the bytes of a file in `buffer`. After the file is closed, `buffer` holds the finished file. HDF5
/// has its own function for the image of an open file, H5Fget_file_image, but that function cannot be used. In HDF5
/// 1.10 it clears a flag in the image's superblock (the file header) without updating the superblock's checksum. So
/// nobody can open the image.
H5FD_file_image_callbacks_t buffer_callbacks(Bytes& buffer) {
  H5FD_file_image_callbacks_t c{};
  c.image_malloc = [](std::size_t size, H5FD_file_image_op_t, void* data) -> void* {
    return resized(*static_cast<Bytes*>(data), size);
  };
  c.image_realloc = [](void*, std::size_t size, H5FD_file_image_op_t, void* data) -> void* {
    return resized(*static_cast<Bytes*>(data), size);
  };
  c.image_memcpy = [](void* to, const void* from, std::size_t size, H5FD_file_image_op_t, void*) {
    return std::memcpy(to, from, size);
  };
  c.image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; };
  c.udata_copy = [](void* data) { return data; };
  c.udata_free = [](void*) -> herr_t { return 0; };
  c.udata = &buffer;
  return c;
}

template <class T>
hid_t file_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_STD_U64LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
}

template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
}

Hdf5Handle string_type(std::size_t length) {
  Hdf5Handle type(checked(H5Tcopy(H5T_C_S1), "make a string type"), &H5Tclose);
  checked(H5Tset_size(type.get(), std::max<std::size_t>(length, 1)), "make a string type");
  checked(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "make a string type");
  return type;
}

Hdf5Handle space_of(const std::vector<hsize_t>& extent) {
  return {checked(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), "make a data space"),
          &H5Sclose};
}

void require_no_zero_byte(std::string_view text, const std::string& name) {
  if (text.find('\0') != std::string_view::npos) throw Error(fmt::format("'{}': a text contains a zero byte", name));
}

}  // namespace

Hdf5Handle::Hdf5Handle(Hdf5Handle&& other) noexcept
    : id_(std::exchange(other.id_, -1)), close_(std::exchange(other.close_, nullptr)) {}

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

Hdf5Handle::~Hdf5Handle() {
  if (close_ != nullptr && id_ >= 0) close_(id_);
}

Hdf5Writer::Hdf5Writer() {
  quiet();
  const Hdf5Handle creation = property_list(H5P_FILE_CREATE);
  // By default the root group also stores times. With times, two recordings of the same content would differ.
  checked(H5Pset_obj_track_times(creation.get(), false), "switch time stamps off");
  const Hdf5Handle access = fixed_access();
  // With an increment of one byte, the buffer grows only as needed. So its size is the size of the file.
  checked(H5Pset_fapl_core(access.get(), 1, false), "keep a file in memory");
  H5FD_file_image_callbacks_t callbacks = buffer_callbacks(image_);
  checked(H5Pset_file_image_callbacks(access.get(), &callbacks), "keep a file in memory");
  file_ = {checked(H5Fcreate(kMemoryName, H5F_ACC_TRUNC, creation.get(), access.get()), "make a file"), &H5Fclose};
}

void Hdf5Writer::attribute(const std::string& name, std::int64_t value) {
  const Hdf5Handle space(checked(H5Screate(H5S_SCALAR), "make a data space"), &H5Sclose);
  const Hdf5Handle attribute(
      checked(H5Acreate2(file_.get(), name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
              "make attribute " + name),
      &H5Aclose);
  checked(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value), "write attribute " + name);
}

void Hdf5Writer::attribute(const std::string& name, std::string_view value) {
  require_no_zero_byte(value, name);
  const Hdf5Handle space(checked(H5Screate(H5S_SCALAR), "make a data space"), &H5Sclose);
  const Hdf5Handle type = string_type(value.size());
  const Hdf5Handle attribute(
      checked(H5Acreate2(file_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
              "make attribute " + name),
      &H5Aclose);
  const std::string padded(value.empty() ? std::string(1, '\0') : std::string(value));
  checked(H5Awrite(attribute.get(), type.get(), padded.data()), "write attribute " + name);
}

void Hdf5Writer::write(const std::string& name, std::int64_t type, std::int64_t memory_type, const void* data,
                       const std::vector<std::uint64_t>& extent, Hdf5Packing packing) {
  const std::vector<hsize_t> dims(extent.begin(), extent.end());
  const bool empty = std::ranges::find(dims, hsize_t{0}) != dims.end();
  const Hdf5Handle space = space_of(dims);
  const Hdf5Handle creation = property_list(H5P_DATASET_CREATE);
  checked(H5Pset_obj_track_times(creation.get(), false), "switch time stamps off");
  if (packing == Hdf5Packing::kDeflate && !empty) {
    // One chunk is enough, because goldens are small and are always read completely.
    checked(H5Pset_chunk(creation.get(), static_cast<int>(dims.size()), dims.data()), "set the chunk of " + name);
    checked(H5Pset_shuffle(creation.get()), "shuffle " + name);
    checked(H5Pset_deflate(creation.get(), 6), "deflate " + name);
  }
  const Hdf5Handle set(
      checked(H5Dcreate2(file_.get(), name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
              "make data set " + name),
      &H5Dclose);
  if (!empty) checked(H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "write data set " + name);
}

template <class T>
void Hdf5Writer::numbers(const std::string& name, std::span<const T> values, Hdf5Packing packing, std::size_t columns) {
  std::vector<std::uint64_t> extent{values.size()};
  if (columns != 0) extent = {values.size() / columns, columns};
  write(name, file_type<T>(), memory_type<T>(), values.data(), extent, packing);
}

void Hdf5Writer::strings(const std::string& name, const std::vector<std::string>& values) {
  std::size_t longest = 1;
  for (const std::string& v : values) {
    require_no_zero_byte(v, name);
    longest = std::max(longest, v.size());
  }
  std::string padded(longest * values.size(), '\0');
  for (std::size_t i = 0; i < values.size(); ++i)
    std::ranges::copy(values[i], padded.begin() + static_cast<std::ptrdiff_t>(i * longest));
  const Hdf5Handle type = string_type(longest);
  write(name, type.get(), type.get(), padded.data(), {values.size()}, Hdf5Packing::kDeflate);
}

Bytes Hdf5Writer::finish() {
  checked(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "flush the file");
  file_ = {};
  return std::move(image_);
}

Hdf5Reader::Hdf5Reader(std::span<const std::uint8_t> image, std::string where) : where_(std::move(where)) {
  quiet();
  const Hdf5Handle access = fixed_access();
  if (H5Pset_fapl_core(access.get(), std::size_t{1} << 16, false) < 0) refuse(last_message());
  // HDF5 copies the image and does not change it. The const_cast is needed only because the C function takes a pointer
  // to non-const.
  if (H5Pset_file_image(access.get(), const_cast<std::uint8_t*>(image.data()), image.size()) < 0)
    refuse(last_message());
  const hid_t id = H5Fopen(kMemoryName, H5F_ACC_RDONLY, access.get());
  if (id < 0) refuse("is not a readable HDF5 file: " + last_message());
  file_ = {id, &H5Fclose};
}

void Hdf5Reader::refuse(const std::string& what) const { throw Error(fmt::format("{}: {}", where_, what)); }

std::int64_t Hdf5Reader::integer(const std::string& attribute) const {
  const Hdf5Handle a(H5Aopen(file_.get(), attribute.c_str(), H5P_DEFAULT), &H5Aclose);
  if (a.get() < 0) refuse(fmt::format("attribute '{}' is missing", attribute));
  const Hdf5Handle space(H5Aget_space(a.get()), &H5Sclose);
  const Hdf5Handle type(H5Aget_type(a.get()), &H5Tclose);
  std::int64_t value = 0;
  if (H5Sget_simple_extent_type(space.get()) != H5S_SCALAR || H5Tequal(type.get(), H5T_STD_I64LE) <= 0 ||
      H5Aread(a.get(), H5T_NATIVE_INT64, &value) < 0) {
    refuse(fmt::format("attribute '{}' is not one 64-bit integer", attribute));
  }
  return value;
}

std::string Hdf5Reader::text(const std::string& attribute) const {
  const Hdf5Handle a(H5Aopen(file_.get(), attribute.c_str(), H5P_DEFAULT), &H5Aclose);
  if (a.get() < 0) refuse(fmt::format("attribute '{}' is missing", attribute));
  const Hdf5Handle space(H5Aget_space(a.get()), &H5Sclose);
  const Hdf5Handle type(H5Aget_type(a.get()), &H5Tclose);
  const bool plain = H5Sget_simple_extent_type(space.get()) == H5S_SCALAR && H5Tget_class(type.get()) == H5T_STRING &&
                     H5Tis_variable_str(type.get()) == 0 && H5Tget_size(type.get()) <= kMostBytes;
  std::string value(plain ? H5Tget_size(type.get()) : 0, '\0');
  if (!plain || H5Aread(a.get(), type.get(), value.data()) < 0) {
    refuse(fmt::format("attribute '{}' is not a text", attribute));
  }
  value.resize(std::strlen(value.c_str()));
  return value;
}

Hdf5Handle Hdf5Reader::open(const std::string& name) const {
  const hid_t id = H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT);
  if (id < 0) {
    last_message();
    refuse(fmt::format("data set '{}' is missing", name));
  }
  return {id, &H5Dclose};
}

std::vector<std::uint64_t> Hdf5Reader::extent_of(const Hdf5Handle& set, const std::string& name, int rank,
                                                 std::size_t element_bytes) const {
  const Hdf5Handle space(H5Dget_space(set.get()), &H5Sclose);
  if (H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE || H5Sget_simple_extent_ndims(space.get()) != rank) {
    refuse(fmt::format("data set '{}' must have {} dimension(s)", name, rank));
  }
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  std::uint64_t bytes = element_bytes;
  for (const hsize_t d : dims) {
    if (d != 0 && bytes > kMostBytes / d) refuse(fmt::format("data set '{}' is too large for a golden", name));
    bytes *= d;
  }
  return {dims.begin(), dims.end()};
}

template <class T>
std::vector<T> Hdf5Reader::numbers(const std::string& name, std::size_t columns) const {
  const Hdf5Handle set = open(name);
  const Hdf5Handle type(H5Dget_type(set.get()), &H5Tclose);
  if (H5Tequal(type.get(), file_type<T>()) <= 0) {
    refuse(fmt::format("data set '{}' does not have the element type of this schema", name));
  }
  const auto extent = extent_of(set, name, columns == 0 ? 1 : 2, sizeof(T));
  if (columns != 0 && extent[1] != columns) {
    refuse(fmt::format("data set '{}' has {} columns, but {} are expected", name, extent[1], columns));
  }
  std::vector<T> values(columns == 0 ? extent[0] : extent[0] * columns);
  if (!values.empty() && H5Dread(set.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    refuse(fmt::format("data set '{}' cannot be read: {}", name, last_message()));
  }
  return values;
}

std::vector<std::string> Hdf5Reader::strings(const std::string& name) const {
  const Hdf5Handle set = open(name);
  const Hdf5Handle type(H5Dget_type(set.get()), &H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0) {
    refuse(fmt::format("data set '{}' does not hold fixed-length strings", name));
  }
  const std::size_t length = H5Tget_size(type.get());
  const auto extent = extent_of(set, name, 1, length);
  std::string padded(length * extent[0], '\0');
  if (!padded.empty() && H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, padded.data()) < 0) {
    refuse(fmt::format("data set '{}' cannot be read: {}", name, last_message()));
  }
  std::vector<std::string> values(extent[0]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string_view field = std::string_view(padded).substr(i * length, length);
    values[i] = field.substr(0, field.find('\0'));
  }
  return values;
}

#define DSV4_HDF5_NUMBERS(T)                                                                              \
  template void Hdf5Writer::numbers<T>(const std::string&, std::span<const T>, Hdf5Packing, std::size_t); \
  template std::vector<T> Hdf5Reader::numbers<T>(const std::string&, std::size_t) const
DSV4_HDF5_NUMBERS(std::uint8_t);
DSV4_HDF5_NUMBERS(std::int64_t);
DSV4_HDF5_NUMBERS(std::uint64_t);
DSV4_HDF5_NUMBERS(double);
#undef DSV4_HDF5_NUMBERS

}  // namespace dsv4
