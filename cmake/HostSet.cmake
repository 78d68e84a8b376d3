# The 'host' set: kernels/<family>/<op>.cu by the host compiler against kernels/simt/.

# kernels/simt/simt.cmake knows how: dsv4_simt_module(<target>) turns a module target into a host-executed one.
include("${PROJECT_SOURCE_DIR}/kernels/simt/simt.cmake" OPTIONAL)
if(NOT COMMAND dsv4_simt_module OR NOT DSV4_KERNEL_SOURCES)
  return()
endif()

foreach(source IN LISTS DSV4_KERNEL_SOURCES)
  cmake_path(GET source STEM op)
  set_source_files_properties("${source}" PROPERTIES LANGUAGE CXX)
  dsv4_add_module_library(host "${source}")
  dsv4_simt_module(host_${op})
endforeach()
dsv4_finish_set(host DEVICE simt COMPILER "${DSV4_COMPILER_NAME}" ARCH sm_90)
