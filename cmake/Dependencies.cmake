# The libraries that the project uses, as imported targets. Some libraries are packages of the distribution. The others
# are in the folder that scripts/setup fills (DSV4_DEPS_DIR).

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json 3 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(pugixml REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)

function(dsv4_require_header variable header package)
  find_path(${variable} ${header} REQUIRED)
  mark_as_advanced(${variable})
endfunction()
dsv4_require_header(DSV4_RANDOM123_INCLUDE Random123/philox.h librandom123-dev)
dsv4_require_header(DSV4_XXHASH_INCLUDE xxhash.h libxxhash-dev)
# Boost.Math has only headers, which every package of Boost's libraries brings along.
dsv4_require_header(DSV4_BOOST_MATH_INCLUDE boost/math/distributions/students_t.hpp libboost-context-dev)
add_library(dsv4_random123 INTERFACE)
target_include_directories(dsv4_random123 SYSTEM INTERFACE "${DSV4_RANDOM123_INCLUDE}")
add_library(dsv4_xxhash INTERFACE)
target_include_directories(dsv4_xxhash SYSTEM INTERFACE "${DSV4_XXHASH_INCLUDE}")
target_compile_definitions(dsv4_xxhash INTERFACE XXH_INLINE_ALL)

# libcrypto computes the SHA-256 of modules (interface/sha256.h). The static library is preferred.
find_path(DSV4_CRYPTO_INCLUDE openssl/evp.h REQUIRED)
find_library(DSV4_CRYPTO NAMES libcrypto.a crypto REQUIRED)
add_library(dsv4_crypto INTERFACE)
target_include_directories(dsv4_crypto SYSTEM INTERFACE "${DSV4_CRYPTO_INCLUDE}")
target_link_libraries(dsv4_crypto INTERFACE "${DSV4_CRYPTO}" ${CMAKE_DL_LIBS} Threads::Threads)

# Boost.Context provides the fibers of host modules. The static library is preferred, so that a module does not need a
# second file.
find_path(DSV4_BOOST_INCLUDE boost/context/fiber.hpp REQUIRED)
find_library(DSV4_BOOST_CONTEXT NAMES libboost_context.a boost_context REQUIRED)
add_library(dsv4_boost_context INTERFACE)
target_include_directories(dsv4_boost_context SYSTEM INTERFACE "${DSV4_BOOST_INCLUDE}")
target_link_libraries(dsv4_boost_context INTERFACE "${DSV4_BOOST_CONTEXT}")

# HDF5 with its C interface. The static library is preferred, because the shared library of Debian and Ubuntu needs
# about forty more libraries (its S3 driver needs curl). These would slow down every start, and a GPU machine would need
# them too.
find_path(DSV4_HDF5_INCLUDE hdf5.h PATH_SUFFIXES hdf5/serial REQUIRED)
find_library(DSV4_HDF5_STATIC libhdf5.a PATH_SUFFIXES hdf5/serial)
find_library(DSV4_SZIP_STATIC libsz.a)
find_library(DSV4_AEC_STATIC libaec.a)
find_library(DSV4_ZLIB z)
add_library(dsv4_hdf5 INTERFACE)
target_include_directories(dsv4_hdf5 SYSTEM INTERFACE "${DSV4_HDF5_INCLUDE}")
if(DSV4_HDF5_STATIC AND DSV4_SZIP_STATIC AND DSV4_AEC_STATIC AND DSV4_ZLIB)
  target_link_libraries(dsv4_hdf5 INTERFACE "${DSV4_HDF5_STATIC}" "${DSV4_SZIP_STATIC}" "${DSV4_AEC_STATIC}"
                                            "${DSV4_ZLIB}" ${CMAKE_DL_LIBS} m)
else()
  find_library(DSV4_HDF5_SHARED NAMES hdf5 hdf5_serial PATH_SUFFIXES hdf5/serial REQUIRED)
  target_link_libraries(dsv4_hdf5 INTERFACE "${DSV4_HDF5_SHARED}")
endif()

if(NOT EXISTS "${DSV4_DEPS_DIR}/tvm_ffi/lib/libtvm_ffi.so")
  message(FATAL_ERROR "TVM-FFI is not at ${DSV4_DEPS_DIR}/tvm_ffi.\n"
                      "Run scripts/setup --deps-only first (or point DSV4_DEPS_DIR to a folder that it filled).")
endif()

# TVM-FFI defines the ABI of kernel sets. Its library is copied to lib/ in the build folder, so that a build folder
# is self-contained.
configure_file("${DSV4_DEPS_DIR}/tvm_ffi/lib/libtvm_ffi.so" "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtvm_ffi.so" COPYONLY)
add_library(tvm_ffi::headers INTERFACE IMPORTED)
target_include_directories(tvm_ffi::headers SYSTEM INTERFACE "${DSV4_DEPS_DIR}/tvm_ffi/include")
add_library(tvm_ffi::shared SHARED IMPORTED)
set_target_properties(tvm_ffi::shared PROPERTIES IMPORTED_LOCATION "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtvm_ffi.so")
target_link_libraries(tvm_ffi::shared INTERFACE tvm_ffi::headers)

# The CUDA headers and the CUDA runtime have the release that LibTorch is built with. Host sets need only the headers.
set(DSV4_CUDA_ROOT "${DSV4_DEPS_DIR}/nvidia/cu13")
add_library(dsv4_cuda_headers INTERFACE)
target_include_directories(dsv4_cuda_headers SYSTEM INTERFACE "${DSV4_CUDA_ROOT}/include"
                                                              "${DSV4_CUDA_ROOT}/include/cccl")
configure_file("${DSV4_CUDA_ROOT}/lib/libcudart.so.13" "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libcudart.so.13" COPYONLY)
add_library(dsv4_cudart SHARED IMPORTED)
set_target_properties(dsv4_cudart PROPERTIES
                      IMPORTED_LOCATION "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libcudart.so.13")
target_link_libraries(dsv4_cudart INTERFACE dsv4_cuda_headers)

# LibTorch. Its TorchConfig.cmake is not used, because it needs a CUDA toolkit and libtorch_cuda even if only the CPU
# part is linked. libtorch_cpu finds libgomp, cudart and cupti by its own RPATH. The headers of LibTorch are searched
# last (-idirafter). The wheel contains a copy of fmt, and this copy must not replace the system's fmt, which the rest
# of the project links.
if(DSV4_TORCH)
  if(NOT EXISTS "${DSV4_DEPS_DIR}/torch/lib/libtorch_cpu.so")
    message(FATAL_ERROR "LibTorch is not at ${DSV4_DEPS_DIR}/torch.\n"
                        "Run scripts/setup --deps-only first, or configure with -DDSV4_TORCH=OFF to build without the "
                        "GPU side.")
  endif()
  add_library(dsv4_c10 SHARED IMPORTED)
  set_target_properties(dsv4_c10 PROPERTIES IMPORTED_LOCATION "${DSV4_DEPS_DIR}/torch/lib/libc10.so")
  add_library(dsv4_torch_cpu SHARED IMPORTED)
  set_target_properties(dsv4_torch_cpu PROPERTIES IMPORTED_LOCATION "${DSV4_DEPS_DIR}/torch/lib/libtorch_cpu.so")
  # The libraries that libtorch_cpu needs are found when the program loads them. The linker need not find them.
  target_link_options(dsv4_torch_cpu INTERFACE -Wl,--allow-shlib-undefined)
  target_compile_options(dsv4_torch_cpu INTERFACE "SHELL:-idirafter ${DSV4_DEPS_DIR}/torch/include"
                         "SHELL:-idirafter ${DSV4_DEPS_DIR}/torch/include/torch/csrc/api/include")
  target_link_libraries(dsv4_torch_cpu INTERFACE dsv4_c10)
endif()

if(DSV4_TESTS)
  find_package(GTest REQUIRED)
endif()
