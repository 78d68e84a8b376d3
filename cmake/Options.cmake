# Build options, output folders, and the flags of all targets of the project.

include(GNUInstallDirs)

option(DSV4_WERROR "Treat warnings as errors (continuous integration does)" OFF)
option(DSV4_TESTS "Build the tests" ON)
option(DSV4_TORCH "Build libdsv4_cuda, the harness's GPU side, which needs LibTorch" ON)
option(DSV4_CUDA "Build the 'cuda' kernel set with nvcc (no GPU is needed to compile)" OFF)
option(DSV4_UNITY "Compile the harness in pieces of a few files: much less work for a whole build" ON)
set(DSV4_CUDA_ARCHITECTURES "90;100" CACHE STRING "Compute capabilities the 'cuda' set is compiled for")
set(DSV4_SANITIZE "" CACHE STRING "Sanitizers for every target, for instance 'address,undefined'")
set(DSV4_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps" CACHE PATH "What scripts/setup unpacked: LibTorch, TVM-FFI, CUDA")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
if(DSV4_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")  # -O1 keeps the checks and halves the compile time
endif()
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

# A build folder can be moved, also to another machine. Libraries are in lib/ and kernel sets in sets/. Every binary
# finds both by paths relative to itself.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(DSV4_SETS_OUTPUT_DIR "${PROJECT_BINARY_DIR}/sets")
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)

find_program(DSV4_CCACHE ccache)
if(NOT DSV4_CCACHE)
  set(DSV4_CCACHE "")  # commands begin with its value
endif()
if(DSV4_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DSV4_CCACHE}")
endif()

# Flags of the project's own code. Headers of dependencies are SYSTEM headers, so warnings in them are not shown.
add_library(dsv4_flags INTERFACE)
target_compile_options(dsv4_flags INTERFACE -Wall -Wextra $<$<BOOL:${DSV4_WERROR}>:-Werror>)
target_include_directories(dsv4_flags INTERFACE "${PROJECT_SOURCE_DIR}")
# References specify every rounding, so the compiler must not fuse a multiplication and an addition.
target_compile_options(dsv4_flags INTERFACE -ffp-contract=off)
if(DSV4_SANITIZE)
  target_compile_options(dsv4_flags INTERFACE -fsanitize=${DSV4_SANITIZE} -fno-sanitize-recover=all
                                              -fno-omit-frame-pointer -g1)
  target_link_options(dsv4_flags INTERFACE -fsanitize=${DSV4_SANITIZE})
endif()
