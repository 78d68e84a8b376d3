# The 'host' set: kernels/<family>/<op>.cu, compiled by the host compiler against simt/.

file(GLOB simt_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/simt/*.cpp")
if(NOT simt_sources OR NOT DSV4_KERNEL_SOURCES)
  return()
endif()

# The executor is compiled once and linked into each module. Each module has its own copy of the executor's state
# (simt/module.map). This is an object library. With a static library, the linker would leave out the exported
# simt_configure, because no other file refers to it.
add_library(dsv4_simt OBJECT ${simt_sources})
target_link_libraries(dsv4_simt PUBLIC dsv4_flags dsv4_cuda_headers tvm_ffi::headers dsv4_boost_context
                      ${CMAKE_DL_LIBS} Threads::Threads)
# As on a GPU, integers wrap, and memory may be read through a pointer of any type. In the UBSan build, integers do not
# wrap, and overflows are reported.
set(simt_flags -fno-strict-aliasing)
if(NOT DSV4_SANITIZE)
  list(APPEND simt_flags -fwrapv)
endif()
target_compile_options(dsv4_simt PRIVATE ${DSV4_MODULE_FLAGS} ${simt_flags})
# math.cpp changes the rounding mode, and the compiler must not move operations across such a change.
set_source_files_properties("${PROJECT_SOURCE_DIR}/simt/math.cpp" PROPERTIES COMPILE_OPTIONS -frounding-math)
set(module_map "${PROJECT_SOURCE_DIR}/simt/module.map")

foreach(source IN LISTS DSV4_KERNEL_SOURCES)
  cmake_path(GET source STEM op)
  set_source_files_properties("${source}" PROPERTIES LANGUAGE CXX)
  dsv4_add_module_library(host "${source}" FLAGS ${simt_flags} -x c++ -include simt/prelude.h)
  target_link_libraries(host_${op} PRIVATE dsv4_simt)
  # "#pragma unroll" is for nvcc; the host compiler does not know it.
  target_compile_options(host_${op} PRIVATE -Wno-unknown-pragmas)
  # With -Bsymbolic, the module calls its own CUDA runtime functions, even if the process contains a CUDA
  # runtime library.
  target_link_options(host_${op} PRIVATE -Wl,-Bsymbolic "-Wl,--version-script=${module_map}")
  set_target_properties(host_${op} PROPERTIES LINK_DEPENDS "${module_map}")
endforeach()
dsv4_finish_set(host DEVICE simt COMPILER "${DSV4_COMPILER_NAME}" ARCH sm_90)
