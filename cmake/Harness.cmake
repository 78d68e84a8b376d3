# Builds the harness: one object library, the program dsv4diff, and libdsv4_cuda for the GPU.

# This is an object library. With a static library, the linker would leave out the files of ops, because no other file
# refers to them: ops register themselves.
file(GLOB_RECURSE DSV4_HARNESS_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/harness/*.cpp")
list(FILTER DSV4_HARNESS_SOURCES EXCLUDE REGEX "/harness/device/cuda_|/harness/cli/main\\.cpp$")
add_library(dsv4_harness OBJECT ${DSV4_HARNESS_SOURCES})
target_link_libraries(dsv4_harness PUBLIC dsv4_flags tvm_ffi::shared fmt::fmt nlohmann_json::nlohmann_json CLI11::CLI11
                      dsv4_crypto dsv4_hdf5 dsv4_random123 dsv4_xxhash pugixml::pugixml Threads::Threads
                      ${CMAKE_DL_LIBS})
if(DSV4_SANITIZE MATCHES "undefined")
  # Kernels and references are compiled with all checks. In the harness, these four checks double the compile time and
  # find nothing that AddressSanitizer does not find.
  target_compile_options(dsv4_harness PUBLIC -fno-sanitize=null,vptr,alignment,object-size)
endif()
target_include_directories(dsv4_harness SYSTEM PRIVATE "${DSV4_BOOST_MATH_INCLUDE}")
target_compile_definitions(dsv4_harness PUBLIC DSV4_VERSION="${PROJECT_VERSION}")

# Several files of a room (a folder of the harness, see docs/architecture.md), or of a family of ops, are compiled as
# one piece. This saves time, because compiling a file takes most of its time in the same large headers. So two files of
# a room must not use the same name in an anonymous namespace for two things. Small rooms are compiled together. With
# -DDSV4_UNITY=OFF, each file is compiled alone.
set_target_properties(dsv4_harness PROPERTIES UNITY_BUILD ${DSV4_UNITY} UNITY_BUILD_MODE GROUP)
set(DSV4_FILES_OF_A_PIECE 8)
foreach(source IN LISTS DSV4_HARNESS_SOURCES)
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/harness" OUTPUT_VARIABLE room)
  cmake_path(GET room PARENT_PATH room)
  string(REPLACE "/" "_" room "${room}")
  string(REGEX REPLACE "^(compare|verdict)$" "report" room "${room}")
  string(REGEX REPLACE "^(bench|call|device|generate)$" "core" room "${room}")
  string(REGEX REPLACE "^ops_(attn|elementwise|topk)$" "ops" room "${room}")
  if(NOT DEFINED files_of_${room})
    set(files_of_${room} 0)
  endif()
  math(EXPR piece "${files_of_${room}} / ${DSV4_FILES_OF_A_PIECE}")
  math(EXPR files_of_${room} "${files_of_${room}} + 1")
  set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${room}_${piece}")
endforeach()

# libdsv4_cuda is loaded only when it is needed. The program exports its symbols, so that both use the same types.
function(dsv4_program target)
  target_link_libraries(${target} PRIVATE dsv4_harness)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON BUILD_RPATH "$ORIGIN/lib"
                        INSTALL_RPATH "$ORIGIN/lib")
endfunction()

if(EXISTS "${PROJECT_SOURCE_DIR}/harness/cli/main.cpp")
  add_executable(dsv4diff harness/cli/main.cpp)
  dsv4_program(dsv4diff)
endif()

# libdsv4_cuda implements device memory and streams with LibTorch. dsv4diff loads it only for a set that runs on a GPU,
# because a process that links libtorch_cpu needs a third of a second more to start.
file(GLOB DSV4_CUDA_SIDE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/harness/device/cuda_*.cpp")
if(DSV4_TORCH AND DSV4_CUDA_SIDE_SOURCES)
  add_library(dsv4_cuda SHARED ${DSV4_CUDA_SIDE_SOURCES})
  target_link_libraries(dsv4_cuda PRIVATE dsv4_flags dsv4_torch_cpu tvm_ffi::shared fmt::fmt dsv4_cuda_headers)
  file(RELATIVE_PATH torch_from_lib "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}" "${DSV4_DEPS_DIR}/torch/lib")
  set_target_properties(dsv4_cuda PROPERTIES BUILD_RPATH "$ORIGIN;$ORIGIN/${torch_from_lib}" INSTALL_RPATH "$ORIGIN")
endif()
